"""Spans: what happened, from when to when, and where in which trace; and where they go."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from ledger.observability.traceparent import TraceContext

Attribute = str | int | float | bool


class Kind(Enum):
    """On which side of a message or call a span stands; named as OpenTelemetry does."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span(NamedTuple):
    """One span that has ended; times are seconds since 1970."""

    name: str
    context: TraceContext
    parent: TraceContext | None
    begun_s: float
    ended_s: float
    kind: Kind = Kind.INTERNAL
    attributes: Mapping[str, Attribute] = {}
    links: Sequence[TraceContext] = ()
    is_error: bool = False


class Spans(Protocol):
    """What takes spans: it neither blocks nor fails."""

    def add(self, span: Span) -> None: ...
