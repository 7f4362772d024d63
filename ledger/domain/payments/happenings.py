"""What a saga is told: outcomes of its events, answers of the provider, time, and decisions of operators.

All may come late, twice, out of order, or not at all.
"""

from enum import StrEnum

import msgspec

from ledger.domain.payments.commands import Call, snake_case
from ledger.domain.payments.saga import HoldFact


class _Happening(msgspec.Struct, frozen=True, tag=snake_case, tag_field="kind"):
    pass


class HoldPlaced(_Happening, frozen=True):
    """The request was accepted: its funds are held, under the id of the payment."""


class HoldRefused(_Happening, frozen=True):
    """The request was refused: nothing is held."""

    reason: str


class ChargeAccepted(_Happening, frozen=True):
    """The provider has taken the money: by its answer, by a status, by a webhook. True whenever it comes."""

    reference: str
    """The provider's name for it."""


class ChargeDeclined(_Happening, frozen=True):
    """The provider has not taken the money, and will not under this key."""

    reason: str


class RefundAccepted(_Happening, frozen=True):
    """The provider has given the money back."""

    reference: str


class RefundDeclined(_Happening, frozen=True):
    """The provider has not given the money back this time."""

    reason: str


class Unknown(_Happening, frozen=True):
    """A call was not answered, or not so that it can be understood: what it asked for may have been done."""

    of: Call


class RetryLater(_Happening, frozen=True):
    """A call was certainly not carried out: 429, an open breaker, a refused connection.

    So an attempt is begun at most once: whoever finds that it was begun before says `Unknown`, and calls nobody.
    """

    of: Call
    after_s: float | None = None
    """What the provider asked to wait, if it did."""
    counts: bool = True
    """Whether it was a try; False where it is for us to put right that none came about."""


class NotFound(_Happening, frozen=True):
    """A status query found nothing under the key. A charge or refund on its way may still arrive."""

    of: Call


class Pending(_Happening, frozen=True):
    """A status query found that the provider has not decided."""

    of: Call


class CapturePosted(_Happening, frozen=True):
    """The hold was captured and the fee paid."""


class CaptureRefused(_Happening, frozen=True):
    """The books refused the capture."""

    reason: str
    hold: HoldFact = HoldFact.OPEN
    """How the hold stands: another event may have closed it."""


class ReleasePosted(_Happening, frozen=True):
    """The hold was voided."""


class ReleaseRefused(_Happening, frozen=True):
    """The books refused to void the hold."""

    event_id: str
    """Of the void that was refused: outcomes come more than once."""
    reason: str
    hold: HoldFact = HoldFact.OPEN
    """How the hold stands: another event may have closed it."""


class WokeUp(_Happening, frozen=True):
    """A time that was asked for has come, or whoever worked on the payment is gone."""


class Decision(StrEnum):
    """What an operator may say of a payment that needs one; the last three are facts that they looked up."""

    RETRY = "retry"
    """Take up again what was given up: ask, publish or refund once more."""
    CHARGED = "charged"
    """The provider has the money."""
    NOT_CHARGED = "not_charged"
    """The provider has none of the money, or has given it back."""
    HOLD_CLOSED = "hold_closed"
    """The hold keeps nothing any more: whatever became of it was put right by hand."""


class Decided(_Happening, frozen=True):
    """An operator has decided. Heard only where the payment needs an operator.

    Raises ValueError for `charged` without the provider's reference: a refund would need it.
    """

    decision: Decision
    by: str
    """Who, for the timeline."""
    reference: str | None = None

    def __post_init__(self) -> None:
        if self.decision is Decision.CHARGED and not self.reference:
            raise ValueError("a charge has a reference at its provider")


Happening = (
    HoldPlaced
    | HoldRefused
    | ChargeAccepted
    | ChargeDeclined
    | RefundAccepted
    | RefundDeclined
    | Unknown
    | RetryLater
    | NotFound
    | Pending
    | CapturePosted
    | CaptureRefused
    | ReleasePosted
    | ReleaseRefused
    | WokeUp
    | Decided
)


def kind_of(happening: Happening) -> str:
    """Name what happened as the table of verdicts does; each decision of an operator is a kind of its own."""
    if isinstance(happening, Decided):
        return f"told_{happening.decision}"
    return str(happening.__struct_config__.tag)
