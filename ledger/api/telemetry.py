"""Telemetry: each request has an id, is counted and timed; what fails is told with the id."""

import re
import secrets
from collections.abc import Callable, Iterator
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.api.facts import NAME, RequestFacts
from ledger.observability.pool_metrics import PoolMetrics
from ledger.observability.provider_metrics import BREAKER_STATES
from ledger.observability.signals import Facts, Signals
from ledger.observability.traceparent import TraceContext, read
from ledger.observability.tracing import Requests
from ledger.observability.verification_metrics import VerificationMetrics

HEADER = b"x-request-id"
_VALID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

_UNTRACED = ("/health", "/metrics")

Reading = Callable[[], float]


class ApiMetrics:
    """Counts requests, and listens to signals."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            "ledger_api_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "ledger_api_request_seconds",
            "From the request to the end of its answer; of a live stream to its beginning",
            ["method", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._shed = Counter("ledger_api_shed", "Requests that found no place", registry=registry)
        self._limited = Counter(
            "ledger_api_rate_limited", "Requests over a tenant's quota", ["what"], registry=registry
        )
        self._turned_away = Counter(
            "ledger_api_reads_turned_away",
            "Reads that found no connection",
            ["pool", "why"],
            registry=registry,
        )
        self._stream_reads = Counter(
            "ledger_api_stream_reads",
            "Reads that ask the stream first",
            ["what", "not_used"],
            registry=registry,
        )
        self._written = Counter(
            "ledger_api_records_written", "Records written to Kafka", ["topic"], registry=registry
        )
        self._log_away = Counter("ledger_api_log_away", "Faults of writing to Kafka", registry=registry)
        self._listeners: dict[str, Callable[[Facts], None]] = {
            "request.shed": lambda facts: self._shed.inc(),
            "request.rate_limited": lambda facts: self._limited.labels(facts["what"]).inc(),
            "read.turned_away": lambda facts: self._turned_away.labels(facts["pool"], facts["why"]).inc(),
            "stream.answered": lambda facts: self._stream_reads.labels(facts["what"], "").inc(),
            "stream.not_used": lambda facts: self._stream_reads.labels(facts["what"], facts["cause"]).inc(),
            "records.written": lambda facts: self._written.labels(facts["topic"]).inc(facts["count"]),
            "log.away": lambda facts: self._log_away.inc(),
        }
        self._parts = (PoolMetrics(registry), WindowsBreakerMetrics(registry), VerificationMetrics(registry))

    def __call__(self, name: str, facts: Facts) -> None:
        if listener := self._listeners.get(name):
            listener(facts)
        for part in self._parts:
            part(name, facts)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)


class WindowsBreakerMetrics:
    """A listener to the breakers of windows workers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._changes = Counter(
            "ledger_api_windows_breaker_changes",
            "Changes of the breakers of windows workers",
            ["to"],
            registry=registry,
        )
        self._state = Gauge(
            "ledger_api_windows_breaker",
            "State of the breaker of a windows worker",
            ["worker"],
            registry=registry,
        )

    def __call__(self, name: str, facts: Facts) -> None:
        if name == "windows.breaker_changed":
            self._changes.labels(facts["after"]).inc()
            self._state.labels(facts["worker"]).set(BREAKER_STATES[facts["after"]])


class ApiGauges(Collector):
    """What stands at the moment, read when it is asked for; `counts` only grow."""

    def __init__(self, gauges: dict[str, Reading], counts: dict[str, Reading]) -> None:
        self._gauges = gauges
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        for name, (says, gauge) in _GAUGES.items():
            if gauge in self._gauges:
                yield GaugeMetricFamily(name, says, self._gauges[gauge]())
        cache = CounterMetricFamily("ledger_api_cache", "What the cache of balances did", labels=["what"])
        for what, count in self._counts.items():
            cache.add_metric([what], count())
        yield cache


_GAUGES = {
    "ledger_api_in_flight": ("Requests being answered", "in_flight"),
    "ledger_api_queued": ("Requests that wait for a place", "queued"),
    "ledger_api_waiters": ("Events whose outcomes are waited for", "waiters"),
    "ledger_api_live_streams": ("Open streams of balance changes", "live_streams"),
    "ledger_api_feed_staleness_seconds": (
        "Since the feed of outcomes was known to be fresh",
        "feed_staleness_s",
    ),
    "ledger_api_feed_lag_records": ("Outcomes not yet read", "feed_lag_records"),
    "ledger_api_cache_away": ("1 while the shared cache does not answer", "cache_away"),
}
GAUGES = frozenset(gauge for _, gauge in _GAUGES.values())


class Telemetry:
    """Middleware, the outermost: an id for each request, in and out; counts, times and failures."""

    def __init__(
        self, app: ASGIApp, metrics: ApiMetrics | None, signals: Signals, requests: Requests | None = None
    ) -> None:
        """`requests` says where each stands in a trace, where traces are on."""
        self._app = app
        self._metrics = metrics
        self._signals = signals
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = perf_counter()
        headers = dict(scope["headers"])
        parent = _traced(headers)
        span = self._span(scope, parent)
        stands = span or parent
        facts = RequestFacts(_correlation_id(headers), traceparent=None if stands is None else stands.text)
        scope[NAME] = facts
        status = 500
        took: float | None = None

        async def marked(message: Message) -> None:
            nonlocal status, took
            if message["type"] == "http.response.start":
                status = message["status"]
                took = perf_counter() - begun if _is_stream(message) else None
                message["headers"] = [*message.get("headers", ()), *_headers(facts)]
            await send(message)

        try:
            await self._app(scope, receive, marked)
        finally:
            seconds = took or perf_counter() - begun
            self._answered(scope, facts, status, seconds)
            if span is not None and span.is_sampled:
                self._trace(scope, facts, status, seconds, span, parent)

    def _span(self, scope: Scope, parent: TraceContext | None) -> TraceContext | None:
        if self._requests is None or scope["path"].startswith(_UNTRACED):
            return None
        return self._requests.begun(parent)

    def _answered(self, scope: Scope, facts: RequestFacts, status: int, seconds: float) -> None:
        method, route = _name(scope)
        if self._metrics is not None:
            self._metrics.answered(method, route, status, seconds)
        if status >= 500 and not facts.is_told:
            self._signals.emit(
                "request.not_served",
                correlation_id=facts.correlation_id,
                traceparent=facts.traceparent,
                tenant=facts.tenant,
                method=method,
                path=route,
                status=status,
            )

    def _trace(
        self,
        scope: Scope,
        facts: RequestFacts,
        status: int,
        seconds: float,
        span: TraceContext,
        parent: TraceContext | None,
    ) -> None:
        method, route = _name(scope)
        self._signals.emit(
            "request.answered",
            method=method,
            route=route,
            status=status,
            seconds=seconds,
            tenant=facts.tenant,
            correlation_id=facts.correlation_id,
            context=span,
            parent=parent,
        )


def _name(scope: Scope) -> tuple[str, str]:
    """Name a request by its method and its route, of which there are few."""
    method = scope["method"] if scope["method"] in _METHODS else "other"
    return method, getattr(scope.get("route"), "path", "none")


def _traced(headers: dict[bytes, bytes]) -> TraceContext | None:
    given = headers.get(b"traceparent")
    return None if given is None else read(given.decode("latin-1"))


def _correlation_id(headers: dict[bytes, bytes]) -> str:
    """Take the caller's id, if it is short and harmless, else make one."""
    given = headers.get(HEADER, b"")
    return given.decode() if _VALID.fullmatch(given) else secrets.token_hex(8)


def _headers(facts: RequestFacts) -> list[tuple[bytes, bytes]]:
    told = {"X-Request-Id": facts.correlation_id, **facts.headers}
    return [(name.lower().encode(), value.encode()) for name, value in told.items()]


def _is_stream(message: Message) -> bool:
    return (b"content-type", b"text/event-stream") in message.get("headers", ())
