"""Prometheus metrics of what befell chunks on their way, counted from signals."""

from prometheus_client import CollectorRegistry, Counter

from ledger.observability.signals import Facts

_HEALED = {
    "chunk.dropped_by_faust": "dropped_by_faust",
    "chunk.below": "below",
    "chunk.stale": "stale",
    "log.went_back": "went_back",
    "records.expired": "expired",
    "chunk.given_up": "given_up",
}


class StreamMetrics:
    """A listener that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._healed = Counter(
            "ledger_chunks_not_joined",
            "Chunks that were skipped or fetched again",
            ["why"],
            registry=registry,
        )
        self._holes = Counter(
            "ledger_holes_crossed", "Offsets that held no readable record", registry=registry
        )
        self._lost = Counter(
            "ledger_expired_records", "Records deleted before they were handled", registry=registry
        )

    def __call__(self, name: str, facts: Facts) -> None:
        if name in _HEALED:
            self._healed.labels(_HEALED[name]).inc()
        if name == "hole.crossed":
            self._holes.inc(facts["offsets"])
        if name == "records.expired":
            self._lost.inc(facts["lost"])
