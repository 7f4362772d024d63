"""Prometheus metrics of payments, counted from their signals."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ledger.observability.signals import Facts

_ENDS = {"settled", "declined", "released", "expired", "refunded"}
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)


class PaymentMetrics:
    """A listener that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._moves = Counter(
            "ledger_payment_moves", "What became of payments", ["state", "happening"], registry=registry
        )
        self._alerts = Counter(
            "ledger_payment_alerts", "Payments for which an operator was called", ["state"], registry=registry
        )
        self._contradictions = Counter(
            "ledger_payment_contradictions", "News that contradict what is known", registry=registry
        )
        self._failed = Counter(
            "ledger_payments_not_advanced", "Payments that could not be worked on", registry=registry
        )
        self._taken = Counter("ledger_payments_taken", "Payments that were due and begun", registry=registry)
        self._payments = Gauge("ledger_payments", "Payments under way", ["state"], registry=registry)
        self._oldest = Gauge(
            "ledger_payments_oldest_seconds", "Age of the oldest payment", ["state"], registry=registry
        )
        self._contradicted = Gauge(
            "ledger_payments_contradicted",
            "Payments under way of which a contradiction was told",
            ["state"],
            registry=registry,
        )
        self._seconds = Histogram(
            "ledger_payment_seconds",
            "Time from a request to its end",
            ["state"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._listeners: dict[str, Callable[[Facts], None]] = {
            "payment.moved": self._moved,
            "payment.alerted": lambda facts: self._alerts.labels(facts["state"]).inc(),
            "payment.not_advanced": lambda facts: self._failed.inc(),
            "payments.taken": lambda facts: self._taken.inc(facts["begun"]),
            "payments.counted": self._counted,
        }

    def __call__(self, name: str, facts: Facts) -> None:
        if listener := self._listeners.get(name):
            listener(facts)

    def _moved(self, facts: Facts) -> None:
        self._moves.labels(facts["state"], facts["happening"]).inc()
        if facts["verdict"] == "contradiction":
            self._contradictions.inc()
        if facts["state"] in _ENDS and facts["before"] not in _ENDS:
            self._seconds.labels(facts["state"]).observe(facts["age_s"])

    def _counted(self, facts: Facts) -> None:
        self._payments.clear()
        self._oldest.clear()
        self._contradicted.clear()
        for state, (payments, age_s, contradicted) in facts["states"].items():
            self._payments.labels(state).set(payments)
            self._contradicted.labels(state).set(contradicted)
            self._oldest.labels(state).set(age_s)
