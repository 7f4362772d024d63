"""What telemetry costs is measured over what posting tells."""

import pytest
from prometheus_client import CollectorRegistry

from ledger.observability.metrics import WorkerMetrics
from ledger.observability.signals import Signals
from loadtests.telemetry import cost, listeners, measure, posted


async def test_every_set_of_listeners_is_measured() -> None:
    took = measure(await posted(20, sampled=3), listeners(), turns=2)
    assert took.keys() == listeners().keys()
    assert all(len(each) == 2 and min(each) > 0 for each in took.values())


def test_a_cost_is_what_is_taken_more_in_the_same_turn() -> None:
    without = [float(turn) for turn in range(100)]
    noise = [0.1 * (turn % 3 - 1) for turn in range(100)]
    found = cost([each + 2 + more for each, more in zip(without, noise, strict=True)], without)
    assert found == pytest.approx((2.0, 1.9, 2.1), abs=0.11)
    assert found.low <= found.median <= found.high


def test_bounds_of_a_cost_are_those_of_its_rank() -> None:
    assert cost([float(turn) for turn in range(100)], [0.0] * 100) == (49.5, 40.0, 59.0)


async def test_what_is_told_is_what_posting_tells() -> None:
    registry = CollectorRegistry()
    told = await posted(20, sampled=3)
    told.to(Signals(WorkerMetrics(registry)))
    labels = {"outcome": "posted", "reason": ""}
    assert registry.get_sample_value("ledger_events_total", labels) == 20
    assert registry.get_sample_value("ledger_freshness_seconds_count", {"until": "committed"}) == 20
    assert sum(each.event.traceparent is not None for each in told.outcomes) == 3
