"""Outcomes: what became of an event, once and for ever."""

from datetime import datetime
from typing import Literal

import msgspec

from ledger.domain.commands import Event
from ledger.domain.rejection import Reason, Rejection
from ledger.domain.transaction import Entry

OutcomeKind = Literal["posted", "rejected", "duplicate"]


class HoldView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A hold as it stood after the event (minor units)."""

    hold: str
    state: str
    amount: int
    captured: int
    released: int
    left: int


class PaymentView(msgspec.Struct, frozen=True):
    """A payment as it stood after the event."""

    id: str
    state: str


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one event; `transaction` and `entries` if it posted any."""

    event: Event
    kind: OutcomeKind
    posted_at: datetime
    transaction: str | None = None
    entries: tuple[Entry, ...] = ()
    effective_at: datetime | None = None
    hold: HoldView | None = None
    reason: Reason | None = None
    detail: str | None = None
    payment: PaymentView | None = None


class Earlier(msgspec.Struct, frozen=True, gc=False):
    """What the books know of an id that they have seen before."""

    fingerprint: bytes
    kind: OutcomeKind
    posted_at: datetime
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    transaction: str | None = None
    reason: Reason | None = None
    detail: str | None = None


def rejected(event: Event, rejection: Rejection, at: datetime) -> Outcome:
    return Outcome(event, "rejected", at, reason=rejection.reason, detail=rejection.detail)


def repeated(event: Event, earlier: Earlier, at: datetime) -> Outcome:
    """Answer an event whose id is known from another record: absorb the same content, refuse another."""
    if earlier.fingerprint != event.fingerprint:
        detail = "this id was used before for an event with other content"
        return rejected(event, Rejection(Reason.EVENT_ID_REUSED, detail), at)
    return Outcome(
        event,
        "duplicate",
        earlier.posted_at,
        earlier.transaction,
        reason=earlier.reason,
        detail=earlier.detail,
    )


def is_redelivery(event: Event, earlier: Earlier) -> bool:
    """Tell whether `event` is the very record that was decided before, delivered again.

    Its content is compared too: in a topic that was made anew, another record may stand at the same offset.
    """
    here = (event.topic, event.partition, event.offset)
    there = (earlier.topic, earlier.partition, earlier.offset)
    return event.offset is not None and here == there and event.fingerprint == earlier.fingerprint
