"""The verdict of the last verification in PostgreSQL."""

from datetime import UTC, datetime, timedelta

import msgspec

from ledger.adapters.postgres.types import Pool
from ledger.adapters.postgres.verifications import PostgresVerifications
from ledger.application.reports import Verification, verification_of
from ledger.domain.audit import Check, Verdict
from tests.builders import NOW

VERDICT = verification_of(
    Verdict([Check("balances", 9, [{"what": "differs", "account": "\u0000é"}])]), NOW, 1.5, "payments"
)


def said(verification: Verification | None) -> Verification | None:
    """Give a verification without its time."""
    return None if verification is None else msgspec.structs.replace(verification, at=NOW)


async def test_the_verdict_that_was_kept_last_is_found_by_everybody_as_it_was(pool: Pool) -> None:
    kept = PostgresVerifications(pool)
    assert await kept.last() is None
    await kept.keep(VERDICT)
    assert said(await PostgresVerifications(pool).last()) == VERDICT


async def test_a_verifier_whose_clock_is_ahead_hides_no_later_verdict(pool: Pool) -> None:
    kept, before = PostgresVerifications(pool), datetime.now(UTC)
    ahead = msgspec.structs.replace(VERDICT, at=before + timedelta(hours=1), checks=[])
    await kept.keep(ahead)
    first = await kept.last()
    await kept.keep(msgspec.structs.replace(VERDICT, at=before))
    last = await kept.last()
    assert said(last) == VERDICT
    assert first is not None
    assert last is not None
    assert before - timedelta(minutes=1) < first.at <= last.at < before + timedelta(minutes=1)
