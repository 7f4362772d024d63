"""A histogram of how old things are when they are done, counted many at a time."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

BOUNDS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Ages(Collector):
    """Counts ages in seconds under the values of one label; thousands cost a sort and a look at each bound."""

    def __init__(
        self, name: str, says: str, label: str, values: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._name, self._says, self._label = name, says, label
        # What is first seen when something was counted has not grown, as Prometheus sees it.
        self._buckets = {value: [0] * (len(BOUNDS_S) + 1) for value in values}
        self._sums = dict.fromkeys(values, 0.0)
        registry.register(self)

    def observe(self, value: str, times_ms: Sequence[int], now_ms: float) -> None:
        """Count what happened at `times_ms` as done at `now_ms`; below zero is no time, ahead of now is now."""
        ordered = sorted(times_ms)
        ordered = ordered[bisect_right(ordered, -1) :]
        counts = self._buckets[value]
        total = len(ordered)
        for index, bound_s in enumerate(BOUNDS_S):
            # As old as the bound or younger: at or after this time.
            counts[index] += total - bisect_right(ordered, now_ms - bound_s * 1000 - 0.5)
        counts[-1] += total
        late = ordered[: bisect_right(ordered, now_ms)]
        self._sums[value] += (len(late) * now_ms - sum(late)) / 1000

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._says, labels=[self._label])
        for value, counts in self._buckets.items():
            bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
            family.add_metric([value], list(zip(bounds, counts, strict=True)), self._sums[value])
        yield family
