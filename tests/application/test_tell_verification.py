"""What the last verification found is told, and shown by the metrics."""

from datetime import timedelta

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from ledger.api.telemetry import ApiMetrics
from ledger.application.reports import Checked, Verification
from ledger.application.tell_verification import TellVerification
from ledger.observability.signals import Signals
from tests.api.console_world import LastVerdict
from tests.builders import NOW
from tests.fakes import RememberedSignals

FOUND = Verification(NOW, 1.5, "payments", False, [Checked("balances", False, 9, [{"what": "differs"}] * 3)])
WELL = msgspec.structs.replace(FOUND, at=NOW + timedelta(days=1), ok=True, checks=[])


async def shown(*verifications: Verification) -> CollectorRegistry:
    metrics = ApiMetrics(CollectorRegistry())
    for each in verifications:
        await TellVerification(LastVerdict(each), Signals(metrics)).look()
    return metrics.registry


def value(registry: CollectorRegistry, name: str, topic: str = "payments") -> float | None:
    return registry.get_sample_value(f"ledger_verification_{name}", {"topic": topic})


async def test_violations_are_shown_with_the_time_of_their_verification() -> None:
    registry = await shown(FOUND)
    assert (value(registry, "violations"), value(registry, "time_seconds")) == (3, NOW.timestamp())


async def test_a_verification_without_violations_is_shown_in_place_of_the_one_before() -> None:
    registry = await shown(FOUND, WELL)
    assert (value(registry, "violations"), value(registry, "time_seconds")) == (0, WELL.at.timestamp())


async def test_only_the_last_verification_is_shown_whatever_it_was_of() -> None:
    registry = await shown(FOUND, msgspec.structs.replace(WELL, topic="others"))
    assert [value(registry, "violations", topic) for topic in ("payments", "others")] == [None, 0]


async def test_where_nothing_was_verified_nothing_is_shown() -> None:
    metrics = ApiMetrics(CollectorRegistry())
    await TellVerification(LastVerdict(), Signals(metrics)).look()
    assert value(metrics.registry, "violations") is None


async def test_whatever_keeps_it_from_being_read_is_told_and_ends_nothing() -> None:
    class Odd(LastVerdict):
        async def last(self) -> Verification | None:
            raise LookupError("no such table")

    signals = RememberedSignals()
    await TellVerification(Odd(FOUND), signals).look()
    assert signals.emitted == [("verification.not_read", {"fault": "LookupError: no such table"})]


@pytest.mark.parametrize(("away", "told"), [(True, "verification.not_read"), (False, "verification.read")])
async def test_books_that_are_away_are_told_of(away: bool, told: str) -> None:
    signals = RememberedSignals()
    await TellVerification(LastVerdict(FOUND, away), signals).look()
    assert signals.names() == [told]
