"""What telemetry costs is measured over what posting tells."""

from prometheus_client import CollectorRegistry

from ledger.observability.metrics import WorkerMetrics
from ledger.observability.signals import Signals
from loadtests.telemetry import listeners, measure, posted


async def test_every_set_of_listeners_is_measured() -> None:
    best = measure(await posted(20, sampled=3), listeners(), turns=1)
    assert best.keys() == listeners().keys()
    assert min(best.values()) > 0


async def test_what_is_told_is_what_posting_tells() -> None:
    registry = CollectorRegistry()
    told = await posted(20, sampled=3)
    told.to(Signals(WorkerMetrics(registry)))
    labels = {"outcome": "posted", "reason": ""}
    assert registry.get_sample_value("ledger_events_total", labels) == 20
    assert registry.get_sample_value("ledger_freshness_seconds_count", {"until": "committed"}) == 20
    assert sum(each.event.traceparent is not None for each in told.outcomes) == 3
