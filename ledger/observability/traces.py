"""Traces: spans of what signals tell, in the trace that each event, payment or request belongs to."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from ledger.domain.outcome import Outcome
from ledger.observability.signals import Facts
from ledger.observability.spans import Attribute, Kind, Span, Spans
from ledger.observability.traceparent import TraceContext, begin, sampled

EVENTS_A_BATCH_MAX = 50
"""So many events of a batch get spans of their own; a batch of thousands costs no more."""
_MARK = b'"traceparent":"'


class Traces:
    """A listener. Traces that others began are followed as they say; of batches that hold none, a share is kept."""

    def __init__(
        self, spans: Spans, *, share: float, chance: Callable[[], float], now: Callable[[], float]
    ) -> None:
        self._spans = spans
        self._share = share
        self._chance = chance
        self._now = now
        self._listeners: dict[str, Callable[[Facts], None]] = {
            "event.sent": self._sent,
            "request.answered": self._answered,
            "chunk.handled": self._handled,
            "entries.merged": self._merged,
            "payment.moved": self._moved,
            "attempt.answered": self._attempted,
        }

    def __call__(self, name: str, facts: Facts) -> None:
        if listener := self._listeners.get(name):
            listener(facts)

    def _sent(self, facts: Facts) -> None:
        now = self._now()
        place: dict[str, Attribute | None] = {
            "messaging.system": "kafka",
            "messaging.destination.name": facts["topic"],
        }
        times = now - facts["seconds"], now
        self._add(f"send {facts['topic']}", facts["context"], None, times, Kind.PRODUCER, place)

    def _answered(self, facts: Facts) -> None:
        now = self._now()
        attributes: dict[str, Attribute | None] = {
            "http.request.method": facts["method"],
            "http.route": facts["route"],
            "http.response.status_code": facts["status"],
            "ledger.tenant": facts["tenant"],
            "ledger.correlation_id": facts["correlation_id"],
        }
        self._add(
            f"{facts['method']} {facts['route']}",
            facts["context"],
            facts["parent"],
            (now - facts["seconds"], now),
            Kind.SERVER,
            attributes,
            is_error=facts["status"] >= 500,
        )

    # Posting

    def _handled(self, facts: Facts) -> None:
        outcomes: Sequence[Outcome] = facts["outcomes"]
        kept = list(islice(_kept(outcomes), EVENTS_A_BATCH_MAX))
        if not kept and self._chance() >= self._share:
            return
        batch = begin(is_sampled=True)
        steps = _steps(facts["begun_at"].timestamp(), facts["steps_s"])
        whole = steps["decode"][0], steps["publish"][1]
        attributes: dict[str, Attribute | None] = {
            "messaging.system": "kafka",
            "messaging.destination.partition.id": str(facts["partition"]),
            "messaging.batch.message_count": facts["records"],
            "ledger.dead_letters": len(facts["letters"]),
        }
        links = [context for context, _ in kept]
        self._add("batch", batch, None, whole, Kind.CONSUMER, attributes, links=links)
        for name, times in steps.items():
            self._add(name, batch.child(), batch, times)
        for context, outcome in kept:
            self._posted(context, outcome, steps, batch, facts["taken"])

    def _posted(
        self,
        parent: TraceContext,
        outcome: Outcome,
        steps: dict[str, tuple[float, float]],
        batch: TraceContext,
        taken: Sequence[Any],
    ) -> None:
        event, begun_s = outcome.event, steps["decode"][0]
        place: dict[str, Attribute | None] = {
            "messaging.system": "kafka",
            "messaging.destination.name": event.topic,
            "messaging.destination.partition.id": str(event.partition),
            "messaging.kafka.offset": event.offset,
        }
        written_s = min(_written_s(taken, event.offset) or begun_s, begun_s)
        self._add(
            f"{event.topic} in Kafka", parent.child(), parent, (written_s, begun_s), Kind.PRODUCER, place
        )
        post = parent.child()
        told: dict[str, Attribute | None] = {
            "ledger.event_id": event.id,
            "ledger.tenant": event.tenant,
            "ledger.correlation_id": event.correlation_id,
            "ledger.outcome": outcome.kind,
            "ledger.reason": None if outcome.reason is None else outcome.reason.value,
        }
        times = begun_s, steps["publish"][1]
        self._add(f"post {event.type}", post, parent, times, Kind.CONSUMER, place | told, links=[batch])
        self._add("commit", post.child(), post, steps["post"])
        entries: dict[str, Attribute | None] = {"ledger.entries": len(outcome.entries)}
        self._add("publish entries", post.child(), post, steps["publish"], Kind.PRODUCER, entries)

    # Windows

    def _merged(self, facts: Facts) -> None:
        ended_s = facts["at"].timestamp()
        times = ended_s - facts["seconds"], ended_s
        for record, context in islice(_kept_entries(facts["taken"]), EVENTS_A_BATCH_MAX):
            attributes: dict[str, Attribute | None] = {
                "messaging.system": "kafka",
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
                "ledger.account": (record.key or b"").decode(errors="replace"),
            }
            self._add("merge into windows", context.child(), context, times, Kind.CONSUMER, attributes)

    # Payments

    def _moved(self, facts: Facts) -> None:
        parent = sampled(facts["traceparent"])
        if parent is None:
            return
        attributes = _payment(facts) | {
            "ledger.state.before": facts["before"],
            "ledger.state": facts["state"],
            "ledger.verdict": facts["verdict"],
        }
        now = self._now()
        self._add(
            f"payment {facts['happening']}", parent.child(), parent, (now, now), Kind.INTERNAL, attributes
        )

    def _attempted(self, facts: Facts) -> None:
        context, parent = sampled(facts["traceparent"]), sampled(facts["parent"])
        if context is None or parent is None:
            return
        attributes = _payment(facts) | {
            "ledger.attempt": facts["attempt"],
            "ledger.retries": facts["retries"],
            "ledger.answer": facts["answer"],
        }
        now = self._now()
        times = now - facts["seconds"], now
        is_error = facts["answer"] in ("unknown", "retry_later")
        name = f"{facts['call']} {facts['provider']}"
        self._add(name, context, parent, times, Kind.CLIENT, attributes, is_error=is_error)

    def _add(
        self,
        name: str,
        context: TraceContext,
        parent: TraceContext | None,
        times: tuple[float, float],
        kind: Kind = Kind.INTERNAL,
        attributes: "dict[str, Attribute | None] | None" = None,
        *,
        links: Sequence[TraceContext] = (),
        is_error: bool = False,
    ) -> None:
        told = {key: value for key, value in (attributes or {}).items() if value is not None}
        self._spans.add(Span(name, context, parent, *times, kind, told, links, is_error))


def _payment(facts: Facts) -> dict[str, Attribute | None]:
    return {
        "ledger.tenant": facts["tenant"],
        "ledger.payment": facts["payment"],
        "ledger.provider": facts["provider"],
        "ledger.correlation_id": facts["correlation_id"],
    }


def _steps(begun_s: float, steps_s: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Give from when to when each step was done, one after the other."""
    found = {}
    for name, seconds in steps_s.items():
        found[name] = begun_s, begun_s + seconds
        begun_s += seconds
    return found


def _kept(outcomes: Sequence[Outcome]) -> Iterator[tuple[TraceContext, Outcome]]:
    for outcome in outcomes:
        if outcome.event.traceparent is not None:
            context = sampled(outcome.event.traceparent)
            if context is not None:
                yield context, outcome


def _written_s(taken: Sequence[Any], offset: int | None) -> float | None:
    """Say when the record at an offset was written."""
    if offset is None:
        return None
    index = bisect_left(taken, offset, key=lambda record: record.offset)
    found = index < len(taken) and taken[index].offset == offset and taken[index].timestamp > 0
    return taken[index].timestamp / 1000 if found else None


class _Envelope(msgspec.Struct, gc=False):
    traceparent: str | None = None


_envelopes = msgspec.json.Decoder(_Envelope)


def _kept_entries(records: Sequence[Any]) -> Iterator[tuple[Any, TraceContext]]:
    """Give the records of entries whose trace is kept; what cannot be read is told by others."""
    for record in records:
        if record.value is None or _MARK not in record.value:
            continue
        try:
            context = sampled(_envelopes.decode(record.value).traceparent)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            context = None
        if context is not None:
            yield record, context
