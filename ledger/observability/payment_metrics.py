"""Prometheus metrics of payments, counted from their signals."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from ledger.observability.signals import Facts


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

    def _counted(self, facts: Facts) -> None:
        self._payments.clear()
        self._oldest.clear()
        for state, (payments, age_s) in facts["states"].items():
            self._payments.labels(state).set(payments)
            self._oldest.labels(state).set(age_s)
