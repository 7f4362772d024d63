"""Prometheus metrics of calls to providers, counted from their signals."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ledger.observability.signals import Facts

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BREAKER_STATES = {"closed": 0, "half_open": 1, "open": 2}


class ProviderMetrics:
    """A listener that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "ledger_provider_call_seconds",
            "Time of a call to a provider",
            ["tenant", "provider", "call", "answer"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._breaker = Gauge(
            "ledger_provider_breaker",
            "State of a provider's breaker",
            ["tenant", "provider"],
            registry=registry,
        )
        self._refused_us = Counter(
            "ledger_provider_refused_us",
            "Calls whose signature was not taken",
            ["tenant", "provider"],
            registry=registry,
        )
        self._listeners: dict[str, Callable[[Facts], None]] = {
            "provider.called": self._called,
            "provider.breaker_changed": self._breaker_changed,
            "provider.refused_us": lambda facts: self._refused_us.labels(*_who(facts)).inc(),
        }

    def __call__(self, name: str, facts: Facts) -> None:
        if listener := self._listeners.get(name):
            listener(facts)

    def _called(self, facts: Facts) -> None:
        # From the first call on a breaker is shown as closed, and refusals as none, so that the first has grown.
        self._breaker.labels(*_who(facts))
        self._refused_us.labels(*_who(facts))
        self._seconds.labels(*_who(facts), facts["call"], facts["answer"]).observe(facts["seconds"])

    def _breaker_changed(self, facts: Facts) -> None:
        self._breaker.labels(*_who(facts)).set(BREAKER_STATES[facts["after"]])


def _who(facts: Facts) -> tuple[str, str]:
    return facts["tenant"], facts["provider"]
