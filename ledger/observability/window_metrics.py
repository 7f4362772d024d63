"""Prometheus metrics of a windows worker, counted from its signals."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram

from ledger.observability.signals import Facts

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_KEYS = (1, 10, 100, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


class WindowMetrics:
    """A listener that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._entries = Counter("ledger_entries_merged", "Entries merged into windows", registry=registry)
        self._unreadable = Counter(
            "ledger_records_not_entries", "Records that are no entries", registry=registry
        )
        self._too_old = Counter(
            "ledger_entries_too_old", "Entries older than every window that is kept", registry=registry
        )
        self._checkpoint_seconds = Histogram(
            "ledger_checkpoint_seconds", "Time of a checkpoint", buckets=_SECONDS, registry=registry
        )
        self._checkpoint_keys = Histogram(
            "ledger_checkpoint_keys", "Windows written in a checkpoint", buckets=_KEYS, registry=registry
        )
        self._tombstones = Counter(
            "ledger_window_tombstones", "Windows that have gone into larger ones", registry=registry
        )
        self._listeners: dict[str, Callable[[Facts], None]] = {
            "entries.merged": self._merged,
            "checkpoint.written": self._written,
        }

    def __call__(self, name: str, facts: Facts) -> None:
        if listener := self._listeners.get(name):
            listener(facts)

    def _merged(self, facts: Facts) -> None:
        self._entries.inc(facts["entries"])
        self._unreadable.inc(facts["unreadable"])
        self._too_old.inc(facts["too_old"])

    def _written(self, facts: Facts) -> None:
        self._checkpoint_seconds.observe(facts["seconds"])
        self._checkpoint_keys.observe(facts["keys"])
        self._tombstones.inc(facts["tombstones"])
