"""Traces that begin with the sending of events, as an instrumented producer would begin them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from time import perf_counter

from ledger.config import Settings
from ledger.contract.decode import TRACEPARENT
from ledger.contract.outgoing import CONTENT_TYPE
from ledger.observability.signals import Signals
from ledger.observability.traceparent import TraceContext, begin
from ledger.observability.tracing import traces_of
from streams.demo.mix import Sent
from streams.transport.publisher import Outgoing

TRACED_MAX = 10
"""Of those that are sent at once."""


class TracedSending:
    """Marks some records with a trace of their own; none where traces are off."""

    def __init__(self, settings: Settings, chance: Callable[[], float]) -> None:
        self._topic = settings.payments_topic
        self._share = settings.traces_sample_share if settings.traces_endpoint else 0.0
        self._chance = chance
        self._signals = Signals()

    @classmethod
    @contextmanager
    def of(cls, settings: Settings) -> Iterator["TracedSending"]:
        """Open it; raises TracesNotInstalledError."""
        sending = cls(settings, Random().random)  # noqa: S311 - it spreads samples
        with traces_of(settings, "ledger-demo", sending._signals):
            yield sending

    @contextmanager
    def marked(self, batch: Sequence[Sent]) -> Iterator[list[Outgoing]]:
        """Give the records to send; when that is done, their spans end."""
        contexts = [self._context(index) for index in range(len(batch))]
        begun = perf_counter()
        yield [
            Outgoing(self._topic, key, value, (CONTENT_TYPE, *_header(context)))
            for (key, value), context in zip(batch, contexts, strict=True)
        ]
        for context in contexts:
            if context is not None:
                self._signals.emit(
                    "event.sent", topic=self._topic, context=context, seconds=perf_counter() - begun
                )

    def _context(self, index: int) -> TraceContext | None:
        if index >= TRACED_MAX or self._chance() >= self._share:
            return None
        return begin(is_sampled=True)


def _header(context: TraceContext | None) -> tuple[tuple[str, bytes], ...]:
    return () if context is None else ((TRACEPARENT, context.text.encode()),)
