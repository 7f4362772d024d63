"""How fresh the books and windows are, as the metrics tell it."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from ledger.observability.ages import Ages
from ledger.observability.metrics import WorkerMetrics

NOW_MS = 1_700_000_000_000
BEGUN = datetime.fromtimestamp(NOW_MS / 1000, UTC)


def sample(registry: CollectorRegistry, name: str, until: str, le: str | None = None) -> float | None:
    labels = {"until": until} | ({"le": le} if le else {})
    return registry.get_sample_value(f"ledger_freshness_seconds_{name}", labels)


def handled(*ages_s: float, again: int = 0) -> dict[str, Any]:
    """Facts of a chunk whose records are so old when it begins; posting takes 0.5 s, publishing 1 s."""
    old, new = BEGUN - timedelta(hours=1), BEGUN + timedelta(seconds=0.1)
    outcomes = [
        SimpleNamespace(kind="posted", reason=None, posted_at=old if index < again else new)
        for index in range(len(ages_s))
    ]
    return {
        "records": len(ages_s),
        "outcomes": outcomes,
        "letters": [],
        "taken": [SimpleNamespace(timestamp=int(NOW_MS - age * 1000)) for age in ages_s],
        "begun_at": BEGUN,
        "steps_s": {"decode": 0.0, "post": 0.5, "publish": 1.0},
    }


def metered(facts: dict[str, Any], name: str = "chunk.handled") -> CollectorRegistry:
    registry = CollectorRegistry()
    WorkerMetrics(registry)(name, facts)
    return registry


def ages_in(registry: CollectorRegistry) -> Ages:
    return Ages("ledger_freshness_seconds", "…", "until", ["committed"], registry)


def test_ages_are_counted_as_none_until_there_is_one() -> None:
    registry = CollectorRegistry()
    WorkerMetrics(registry)
    counted = [sample(registry, "bucket", until, "2.5") for until in ("committed", "published", "windows")]
    assert counted == [0, 0, 0]


def test_a_record_is_as_old_as_its_commit_makes_it() -> None:
    registry = metered(handled(0.1, 4.0))
    counted = [sample(registry, "bucket", "committed", le) for le in ("0.5", "1.0", "2.5", "5.0", "+Inf")]
    assert counted == [0, 1, 1, 2, 2]


def test_publishing_comes_on_top() -> None:
    registry = metered(handled(0.1, 4.0))
    counted = [sample(registry, "bucket", "published", le) for le in ("1.0", "2.5", "5.0", "10.0", "+Inf")]
    assert counted == [0, 1, 1, 2, 2]


def test_the_sum_is_that_of_all_ages() -> None:
    assert sample(metered(handled(0.1, 4.0)), "sum", "committed") == 5.1


def test_a_redelivered_record_was_committed_before() -> None:
    registry = metered(handled(3600.0, 0.1, again=1))
    assert sample(registry, "count", "committed") == 1
    assert sample(registry, "bucket", "committed", "1.0") == 1


def test_windows_have_an_age_of_their_own() -> None:
    facts = {"taken": [SimpleNamespace(timestamp=NOW_MS - 200)], "at": BEGUN}
    registry = metered(facts, "entries.merged")
    assert [sample(registry, "bucket", "windows", le) for le in ("0.1", "0.25")] == [0, 1]


def test_what_a_clock_ahead_wrote_is_as_fresh_as_can_be_and_no_time_is_no_age() -> None:
    registry = CollectorRegistry()
    ages_in(registry).observe("committed", [NOW_MS + 9000, -1], NOW_MS)
    assert [sample(registry, name, "committed") for name in ("count", "sum")] == [1, 0]


def test_an_age_at_a_bound_is_within_it() -> None:
    registry = CollectorRegistry()
    ages_in(registry).observe("committed", [NOW_MS - 2500], NOW_MS)
    assert [sample(registry, "bucket", "committed", le) for le in ("1.0", "2.5")] == [0, 1]
