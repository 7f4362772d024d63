"""Prometheus metrics of the last verification, from its signal."""

from prometheus_client import CollectorRegistry, Gauge

from ledger.observability.signals import Facts


class VerificationMetrics:
    """A listener that shows; before the first verification there is nothing to show."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._violations = Gauge(
            "ledger_verification_violations",
            "Violations that the last verification found",
            ["topic"],
            registry=registry,
        )
        self._time = Gauge(
            "ledger_verification_time_seconds",
            "When the last verification ended, in seconds since 1970",
            ["topic"],
            registry=registry,
        )

    def __call__(self, name: str, facts: Facts) -> None:
        if name != "verification.read":
            return
        # One verdict is kept, whichever topic it is of.
        self._violations.clear()
        self._time.clear()
        self._violations.labels(facts["topic"]).set(facts["violations"])
        self._time.labels(facts["topic"]).set(facts["at"].timestamp())
