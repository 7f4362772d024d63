"""Prometheus metrics of a worker, counted from its signals."""

from collections import Counter as Tally
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram

from ledger.contract.dead_letter import DeadLetterReason
from ledger.observability.freshness_metrics import FreshnessMetrics
from ledger.observability.pool_metrics import PoolMetrics
from ledger.observability.signals import Facts
from ledger.observability.stream_metrics import StreamMetrics

_RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class WorkerMetrics:
    """A listener that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter("ledger_events", "Events handled", ["outcome", "reason"], registry=registry)
        self._letters = Counter(
            "ledger_dead_letters", "Records that are no events", ["reason"], registry=registry
        )
        for reason in DeadLetterReason:
            # A count that is first seen at one has not grown, as Prometheus sees it.
            self._letters.labels(reason.value)
        self._records = Histogram(
            "ledger_chunk_records", "Records in a chunk", buckets=_RECORDS, registry=registry
        )
        self._seconds = Histogram(
            "ledger_step_seconds",
            "Time of each step of a chunk",
            ["step"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._retries = Counter("ledger_batch_retries", "Batches tried again", ["cause"], registry=registry)
        self._redelivered = Counter("ledger_redelivered_events", "Events that came again", registry=registry)
        self._publishing = Counter("ledger_publishing_retries", "Publishing tried again", registry=registry)
        self._gaps = Counter(
            "ledger_position_gaps",
            "Stops before records that the books have not seen",
            registry=registry,
        )
        self._expired = Counter("ledger_holds_expired", "Holds found past their time", registry=registry)
        self._unpublished = Counter(
            "ledger_letters_not_published", "Dead letters too large for their topic", registry=registry
        )
        self._listeners: dict[str, Callable[[Facts], None]] = {
            "chunk.handled": self._chunk_handled,
            "batch.delayed": lambda facts: self._retries.labels(facts["cause"]).inc(),
            "events.redelivered": lambda facts: self._redelivered.inc(facts["count"]),
            "publishing.delayed": lambda facts: self._publishing.inc(),
            "record.not_published": lambda facts: self._unpublished.inc(),
            "position.gap": lambda facts: self._gaps.inc(),
            "holds.expired": lambda facts: self._expired.inc(facts["count"]),
        }
        self._parts = (StreamMetrics(registry), FreshnessMetrics(registry), PoolMetrics(registry))

    def __call__(self, name: str, facts: Facts) -> None:
        if listener := self._listeners.get(name):
            listener(facts)
        for part in self._parts:
            part(name, facts)

    def _chunk_handled(self, facts: Facts) -> None:
        self._records.observe(facts["records"])
        for step, seconds in facts["steps_s"].items():
            self._seconds.labels(step).observe(seconds)
        counted = Tally((outcome.kind, outcome.reason or "") for outcome in facts["outcomes"])
        for (kind, reason), count in counted.items():
            self._events.labels(kind, str(reason)).inc(count)
        for letter in facts["letters"]:
            self._letters.labels(letter.reason.value).inc()
