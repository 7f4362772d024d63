"""Gauges of where each partition stands, read when they are asked for."""

from collections.abc import Iterator
from time import monotonic

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.transport.app import ChunkedApp
from streams.transport.health import partition_states
from streams.windows.book import WindowBook


class PartitionGauges(Collector):
    """Frontier, committed offset and lag of each partition that this worker holds, and what it waits for."""

    def __init__(self, app: ChunkedApp, registry: CollectorRegistry) -> None:
        self._app = app
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        labels = ["topic", "partition"]
        lag = GaugeMetricFamily("ledger_lag_records", "Records not yet handled", labels=labels)
        frontier = GaugeMetricFamily("ledger_frontier_offset", "Next offset to handle", labels=labels)
        committed = GaugeMetricFamily(
            "ledger_committed_offset", "Next offset as Kafka knows it", labels=labels
        )
        age = GaugeMetricFamily(
            "ledger_frontier_age_seconds",
            "Since the frontier moved, where records wait",
            labels=labels,
        )
        for state in partition_states(self._app):
            place = [state.place.topic, str(state.place.partition)]
            lag.add_metric(place, state.lag)
            age.add_metric(place, monotonic() - state.advanced_at if state.lag else 0.0)
            frontier.add_metric(place, state.frontier)
            committed.add_metric(place, -1 if state.committed is None else state.committed)
        waiting = GaugeMetricFamily("ledger_waiting", "What the worker waits for", labels=["for"])
        for reason in ("postgres", "kafka", "recovery"):
            waiting.add_metric([reason], float(reason in self._app.flow.waits()))
        yield from (lag, frontier, committed, age, waiting)


class WindowGauges(Collector):
    """How many windows a worker holds, by size, and how many accounts and assets they are of."""

    def __init__(self, book: WindowBook, registry: CollectorRegistry) -> None:
        self._book = book
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        held = self._book.held()
        windows = GaugeMetricFamily("ledger_windows_held", "Windows that the stream keeps", labels=["size"])
        for size, count in held.windows.items():
            windows.add_metric([size.value], count)
        lives = GaugeMetricFamily("ledger_windows_accounts", "Accounts, by asset, that were ever seen")
        lives.add_metric([], held.lives)
        incomplete = GaugeMetricFamily(
            "ledger_versions_missing", "Accounts, by asset, of which a version has not come yet"
        )
        incomplete.add_metric([], held.incomplete)
        yield from (windows, lives, incomplete)
