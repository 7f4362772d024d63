"""Spans on their way to a collector, by OpenTelemetry's SDK; imported only where traces are on."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from ledger.observability.signals import Signals
from ledger.observability.spans import Span
from ledger.observability.traceparent import TraceContext

QUEUE_MAX = 8192
"""Spans that wait to be sent; more are dropped."""
SENT_AT_ONCE_MAX = 512
SENT_EVERY_MS = 1000
TIMEOUT_S = 5.0
CLOSE_S = 3.0


class OtlpSpans:
    """Hands spans to a thread that sends them."""

    def __init__(self, exporter: SpanExporter, service: str) -> None:
        told: Mapping[str, str | int] = {
            "service.name": service,
            "service.version": version("stream-ledger"),
            "process.pid": os.getpid(),
        }
        self._resource = Resource.create(dict(told))
        self._scope = InstrumentationScope("ledger")
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE_MAX,
            schedule_delay_millis=SENT_EVERY_MS,
            max_export_batch_size=SENT_AT_ONCE_MAX,
        )

    def add(self, span: Span) -> None:
        """Have a span sent soon; it is dropped where too many wait."""
        self._processor.on_end(
            ReadableSpan(
                span.name,
                context=_context(span.context, is_remote=False),
                parent=None if span.parent is None else _context(span.parent, is_remote=True),
                resource=self._resource,
                attributes=span.attributes,
                links=[Link(_context(each, is_remote=True)) for each in span.links],
                kind=SpanKind[span.kind.name],
                status=Status(StatusCode.ERROR if span.is_error else StatusCode.UNSET),
                start_time=int(span.begun_s * 1e9),
                end_time=int(span.ended_s * 1e9),
                instrumentation_scope=self._scope,
            )
        )

    def close(self) -> None:
        """Send what waits, for a bounded time: the SDK's own end takes half a minute where the collector is away."""
        ending = Thread(target=self._processor.shutdown, name="last traces", daemon=True)
        ending.start()
        ending.join(CLOSE_S)


class TellingExporter(SpanExporter):
    """Tells once that spans do not arrive, and once that they do again."""

    def __init__(self, exporter: SpanExporter, signals: Signals) -> None:
        self._exporter = exporter
        self._signals = signals
        self._is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_away = result is not SpanExportResult.SUCCESS
        if is_away != self._is_away:
            if is_away:
                self._signals.emit("traces.not_sent", spans=len(spans))
            else:
                self._signals.emit("traces.sent_again", spans=len(spans))
        self._is_away = is_away
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _context(context: TraceContext, *, is_remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.is_sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote, flags)


@contextmanager
def otlp_spans(endpoint: str, service: str, signals: Signals) -> Iterator[OtlpSpans]:
    """Send spans to the collector at `endpoint`, over HTTP; what waits at the end is sent."""
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT_S)
    spans = OtlpSpans(TellingExporter(exporter, signals), service)
    try:
        yield spans
    finally:
        spans.close()
