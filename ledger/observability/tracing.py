"""Traces switched on by a setting; off, what makes and sends spans is not imported and nobody listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from time import time

from ledger.config import Settings
from ledger.observability.signals import Signals
from ledger.observability.traceparent import CalledFrom, TraceContext, as_given, begin, called_from
from ledger.observability.traces import Traces


class TracesNotInstalledError(Exception):
    """Traces are on, and OpenTelemetry is not installed."""


@contextmanager
def traces_of(settings: Settings, service: str, signals: Signals) -> Iterator[None]:
    """Have traces listen to `signals`, if they are on. Raises TracesNotInstalledError."""
    if settings.traces_endpoint is None:
        yield
        return
    try:
        from ledger.observability.otlp import otlp_spans
    except ImportError as error:
        raise TracesNotInstalledError(
            "LEDGER_TRACES_ENDPOINT is set, and the extra that sends traces is not installed: "
            "pip install '.[tracing]' in a checkout."
        ) from error
    with otlp_spans(settings.traces_endpoint, service, signals) as spans:
        # It spreads samples, and keeps no secret.
        chance = Random().random  # noqa: S311
        signals.listen(Traces(spans, share=settings.traces_sample_share, chance=chance, now=time))
        yield


class Requests:
    """Where requests stand in traces: in the caller's, or in one that begins here for a share of them."""

    def __init__(self, share: float, chance: Callable[[], float]) -> None:
        self._share = share
        self._chance = chance

    def begun(self, parent: TraceContext | None) -> TraceContext:
        """Give the span of a request whose caller told of `parent`."""
        return begin(is_sampled=self._chance() < self._share) if parent is None else parent.child()

    @classmethod
    def of(cls, settings: Settings) -> "Requests | None":
        """Make it, if traces are on."""
        if settings.traces_endpoint is None:
            return None
        return cls(settings.traces_sample_share, Random().random)  # noqa: S311


def calls_of(settings: Settings) -> CalledFrom:
    """Say what calls are made under: where traces are off, what was given goes on as it is."""
    return as_given if settings.traces_endpoint is None else called_from
