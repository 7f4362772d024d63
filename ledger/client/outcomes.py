"""What became of an event, as a client sees it: read from the topic of outcomes, or from an answer of the API."""

from datetime import datetime
from typing import Any, Literal

import msgspec


class PostedEntry(msgspec.Struct, frozen=True):
    """An entry that was posted (minor units: + credits, - debits); balance and totals are those after it."""

    account: str
    asset: str
    amount: int
    version: int
    balance: int
    posted_debits: int
    posted_credits: int


class OutcomeHold(msgspec.Struct, frozen=True):
    """A hold after the event (minor units): amount = captured + released + left."""

    hold: str
    state: str
    amount: int
    captured: int
    released: int
    left: int


class OutcomePayment(msgspec.Struct, frozen=True):
    """A payment as its request left it; how it goes on stands in `payment()` of the HTTP client."""

    id: str
    state: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of one event, once and for ever.

    A duplicate was sent before with the same content: it has the transaction, or the `reason`, of the first, and no
    entries.
    """

    event_id: str
    event_type: str
    status: Literal["posted", "rejected", "duplicate"]
    posted_at: datetime
    transaction: str | None = None
    entries: tuple[PostedEntry, ...] = ()
    hold: OutcomeHold | None = None
    payment: OutcomePayment | None = None
    reason: str | None = None
    detail: str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the books refused it, now or when it was first sent."""
        return self.reason is not None


def outcome_from(members: Any) -> Outcome:
    """Read an outcome from the members of an answer; what is not known is ignored. Raises msgspec.ValidationError."""
    return msgspec.convert(members, Outcome)
