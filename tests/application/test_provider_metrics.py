"""Metrics of calls to providers, from their signals."""

import pytest
from prometheus_client import CollectorRegistry

from ledger.observability.provider_metrics import ProviderMetrics
from ledger.observability.signals import Signals


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def signals(registry: CollectorRegistry) -> Signals:
    return Signals(ProviderMetrics(registry))


def test_calls_are_counted_by_their_answer(signals: Signals, registry: CollectorRegistry) -> None:
    for answer in ("accepted", "accepted", "unknown"):
        signals.emit(
            "provider.called", tenant="acme", provider="p", call="charge", answer=answer, seconds=0.5
        )
    labels = {"tenant": "acme", "provider": "p", "call": "charge", "answer": "accepted"}
    assert registry.get_sample_value("ledger_provider_call_seconds_count", labels) == 2
    assert registry.get_sample_value("ledger_provider_call_seconds_sum", labels) == 1.0


def test_a_breaker_is_closed_until_it_is_heard_of(signals: Signals, registry: CollectorRegistry) -> None:
    states = []
    signals.emit("provider.called", tenant="acme", provider="p", call="charge", answer="unknown", seconds=0.5)
    for after in (None, "open", "half_open", "closed"):
        if after:
            signals.emit("provider.breaker_changed", tenant="acme", provider="p", before="any", after=after)
        states.append(
            registry.get_sample_value("ledger_provider_breaker", {"tenant": "acme", "provider": "p"})
        )
    assert states == [0, 2, 1, 0]


def test_a_provider_that_was_called_has_refused_none(signals: Signals, registry: CollectorRegistry) -> None:
    signals.emit("provider.called", tenant="acme", provider="p", call="charge", answer="unknown", seconds=0.5)
    labels = {"tenant": "acme", "provider": "p"}
    assert registry.get_sample_value("ledger_provider_refused_us_total", labels) == 0


def test_a_signature_that_was_not_taken_is_counted(signals: Signals, registry: CollectorRegistry) -> None:
    signals.emit("provider.refused_us", tenant="acme", provider="p", code=401)
    assert (
        registry.get_sample_value("ledger_provider_refused_us_total", {"tenant": "acme", "provider": "p"})
        == 1
    )
