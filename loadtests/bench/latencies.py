"""Latencies counted by HdrHistogram: in microseconds, to three digits, up to an hour."""

from collections.abc import Iterable
from typing import Any

from hdrh.histogram import HdrHistogram

from loadtests.bench.results import Percentiles

HIGHEST_US = 3_600_000_000
DIGITS = 3


class Latencies:
    """A histogram; what is above an hour counts as an hour, and what is below a microsecond as one."""

    def __init__(self) -> None:
        self._histogram: Any = HdrHistogram(1, HIGHEST_US, DIGITS)

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._histogram.get_total_count())

    def add(self, latency_us: float) -> None:
        """Count one."""
        self._histogram.record_value(int(min(max(latency_us, 1), HIGHEST_US)))

    def add_all(self, latencies_us: Iterable[float]) -> "Latencies":
        """Count many; gives itself."""
        for latency_us in latencies_us:
            self.add(latency_us)
        return self

    def add_encoded(self, text: str) -> None:
        """Count what another counted, as `encoded` gave it."""
        self._histogram.decode_and_add(text.encode())

    def ms(self, percentile: float) -> float:
        """Give a percentile in milliseconds; 0 if nothing was counted."""
        return float(self._histogram.get_value_at_percentile(percentile)) / 1000 if self.count else 0.0

    def percentiles(self) -> Percentiles:
        """Give what a report holds of them."""
        highest = float(self._histogram.get_max_value()) / 1000 if self.count else 0.0
        return Percentiles(self.ms(50), self.ms(90), self.ms(99), self.ms(99.9), highest, self.count)

    def encoded(self) -> str:
        """Give it as HdrHistogram writes it."""
        text: bytes = self._histogram.encode()
        return text.decode()


def decoded(text: str) -> Latencies:
    """Read what `encoded` gave."""
    latencies = Latencies()
    latencies.add_encoded(text)
    return latencies
