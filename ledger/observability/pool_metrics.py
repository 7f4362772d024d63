"""How long is waited for a connection to PostgreSQL, counted from signals."""

from prometheus_client import CollectorRegistry, Histogram

from ledger.observability.signals import Facts

_SECONDS = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class PoolMetrics:
    """A listener that counts the waits of each pool."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "ledger_pool_wait_seconds",
            "Time until a connection to PostgreSQL was there",
            ["pool"],
            buckets=_SECONDS,
            registry=registry,
        )

    def __call__(self, name: str, facts: Facts) -> None:
        if name == "connection.given":
            self._seconds.labels(facts["pool"]).observe(facts["seconds"])
