"""Structured JSON logs: what happened, with ids to follow it by, never amounts or payloads."""

import logging
import sys
from typing import Any

import stamina
import structlog

from ledger.domain.outcome import Outcome
from ledger.observability.signals import Facts

# Signals of every batch are for debugging; what an operator would want to know stands higher.
_LEVELS = {
    "archive.delayed": "warning",
    "attempt.answered": "debug",
    "archive.records_expired": "error",
    "batch.delayed": "warning",
    "breakers.not_told": "debug",
    "cache.away": "warning",
    "feed.lost": "warning",
    "feed.not_an_outcome": "warning",
    "live.not_read": "warning",
    "log.away": "warning",
    "request.answered": "debug",
    "request.not_served": "warning",
    "request.rate_limited": "debug",
    "request.shed": "debug",
    "batch.halved": "warning",
    "key.not_looked_up": "warning",
    "batch.posted": "debug",
    "chain.caught_up": "warning",
    "chain.delayed": "warning",
    "chain.extended": "debug",
    "chain.transaction_not_there": "error",
    "changelog.interrupted": "warning",
    "changelog.lost": "error",
    "checkpoint.written": "debug",
    "chunk.handled": "debug",
    "chunk.joined": "debug",
    "clock.differs": "warning",
    "clock.not_learned": "warning",
    "connection.given": "debug",
    "entries.merged": "debug",
    "frontier.committed": "debug",
    "handler.failed": "error",
    "hole.crossed": "debug",
    "holds.not_swept": "warning",
    "log.went_back": "error",
    "partitions.not_made": "warning",
    "payment.alerted": "error",
    "payment.moved": "debug",
    "payment.not_advanced": "warning",
    "payment.unreadable": "error",
    "payments.counted": "debug",
    "payments.not_heard": "warning",
    "payments.not_taken": "warning",
    "payments.taken": "debug",
    "position.gap": "error",
    "read.turned_away": "warning",
    "provider.breaker_changed": "warning",
    "provider.call_broke": "error",
    "provider.called": "debug",
    "provider.misconfigured": "error",
    "provider.refused_us": "error",
    "publishing.delayed": "warning",
    "record.not_an_entry": "error",
    "record.not_published": "error",
    "records.expired": "error",
    "records.written": "debug",
    "replica.not_used": "warning",
    "request.failed": "error",
    "stream.answered": "debug",
    "stream.not_used": "debug",
    "state.foreign": "warning",
    "state.unreadable": "error",
    "task.failed": "error",
    "traces.not_sent": "warning",
    "verification.not_read": "warning",
    "verification.read": "debug",
    "versions.missing": "warning",
    "webhook.not_heard": "warning",
    "windows.breaker_changed": "warning",
    "windows.routes_not_learned": "error",
    "worker.stalled": "critical",
}
_UNSAID = {"outcomes", "letters", "taken", "begun_at", "at", "traceparent", "parent", "context"}


def configure_logs(level: str) -> None:
    """Send this process's logs, ours and the libraries', to standard error, one JSON object a line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("ledger").setLevel(level.upper())
    # That spans do not arrive is a signal of ours, told once and not for each try.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    # Retries are signals of ours, which say more.
    stamina.instrumentation.set_on_retry_hooks([])


class SignalLog:
    """A listener that writes signals down."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("ledger")

    def __call__(self, name: str, facts: Facts) -> None:
        said = {key: value for key, value in facts.items() if key not in _UNSAID}
        if "traceparent" in facts:
            said["trace_id"] = trace_id_of(facts["traceparent"])
        getattr(self._log, _LEVELS.get(name, "info"))(name, **said)
        if name == "chunk.handled":
            for outcome in facts["outcomes"]:
                if outcome.kind == "rejected":
                    self._log.info("event.rejected", reason=outcome.reason.value, **ids_of(outcome))
            for letter in facts["letters"]:
                self._log.info(
                    "record.dead_lettered",
                    reason=letter.reason.value,
                    detail=letter.detail,
                    partition=letter.record.partition,
                    offset=letter.record.offset,
                )


def trace_id_of(traceparent: str | None) -> str | None:
    """Give the trace that something belongs to."""
    return traceparent.split("-")[1] if traceparent and "-" in traceparent else None


def ids_of(outcome: Outcome) -> dict[str, Any]:
    """Give what an event can be followed by."""
    event = outcome.event
    return {
        "event_id": event.id,
        "tenant": event.tenant,
        "correlation_id": event.correlation_id,
        "trace_id": trace_id_of(event.traceparent),
        "partition": event.partition,
        "offset": event.offset,
    }
