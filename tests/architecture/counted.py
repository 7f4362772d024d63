"""Every metric of every process, with its labels, as its code makes it."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from ledger.api.telemetry import GAUGES, ApiGauges, ApiMetrics
from ledger.domain.window import WindowSize
from ledger.observability.chain_metrics import ChainMetrics
from ledger.observability.metrics import WorkerMetrics
from ledger.observability.payment_metrics import PaymentMetrics
from ledger.observability.provider_metrics import ProviderMetrics
from ledger.observability.window_metrics import WindowMetrics
from streams.metrics import PartitionGauges, WindowGauges
from streams.transport.app import ChunkedApp
from streams.transport.frontier import Frontiers
from streams.windows.book import WindowBook

TARGET = {"job", "instance"}
"""Labels that Prometheus adds to whatever it reads."""


class Counted(NamedTuple):
    """One series, as queries name it."""

    labels: frozenset[str]
    bounds: frozenset[str] = frozenset()
    """The values of `le`, of a histogram's buckets."""


def registries() -> tuple[CollectorRegistry, CollectorRegistry]:
    """Give what workers of every kind count, and what the API does."""
    return _workers(), _api()


def _api() -> CollectorRegistry:
    found = ApiMetrics(CollectorRegistry()).registry
    found.register(ApiGauges(dict.fromkeys(GAUGES, float), {"hits": float}))
    return found


def _workers() -> CollectorRegistry:
    found = CollectorRegistry()
    for metrics in (WorkerMetrics, WindowMetrics, ProviderMetrics, ChainMetrics, PaymentMetrics):
        metrics(found)
    PartitionGauges(cast(ChunkedApp, _app()), found)
    held = SimpleNamespace(windows=dict.fromkeys(WindowSize, 0), lives=0, incomplete=0)
    WindowGauges(cast(WindowBook, SimpleNamespace(held=lambda: held)), found)
    ProcessCollector(registry=found)
    return found


def _app() -> Any:
    frontiers = Frontiers()
    frontiers.open()
    frontiers.start(TopicPartition("payments", 0), 0, 0, 1, 0.0)
    flow = SimpleNamespace(frontiers=frontiers, waits=lambda: ())
    return SimpleNamespace(
        flow=flow, consumer=SimpleNamespace(readable_end=lambda place: 0), consumer_generation_id=1
    )


def series() -> dict[str, Counted]:
    """Give every series by its name."""
    found: dict[str, Counted] = {}
    for made in registries():
        _label(made)
        for name, labels in _samples(made):
            known = found.get(name, Counted(frozenset()))
            bounds = known.bounds | ({labels["le"]} if "le" in labels else set())
            found[name] = Counted(known.labels | labels.keys(), frozenset(bounds))
    return found


def _label(made: CollectorRegistry) -> None:
    """What has labels has no samples before the first of its labels came."""
    for collector in list(made._collector_to_names):
        if isinstance(collector, MetricWrapperBase) and collector._labelnames:
            collector.labels(*("" for _ in collector._labelnames))


def _samples(made: CollectorRegistry) -> Iterator[tuple[str, dict[str, str]]]:
    for family in made.collect():
        for sample in family.samples:
            yield sample.name, sample.labels
