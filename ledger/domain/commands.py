"""Commands: what an event asks the books to do, already checked for shape but not yet decided."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ledger.domain.money import AMOUNT_MAX

# `$(?!\n)`: Python's `$` also matches before a final line break, which no code may hold.
AccountCode = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}$(?!\n)", description="unique in its tenant")
]
AssetCode = Annotated[
    str,
    Meta(pattern=r"^[A-Z][A-Z0-9]{0,16}/(0|[1-9][0-9]?)$(?!\n)", description="code and scale, as in USD/2"),
]
EventId = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$(?!\n)",
        description="a UUIDv7",
    ),
]
# The range is the ladder's to check: an integer out of range is answered with `amount_out_of_range`.
Amount = Annotated[
    int, Meta(description="minor units", extra_json_schema={"minimum": 1, "maximum": AMOUNT_MAX})
]
SignedAmount = Annotated[
    int,
    Meta(
        description="minor units: + credits, - debits",
        extra_json_schema={"minimum": -AMOUNT_MAX, "maximum": AMOUNT_MAX, "not": {"const": 0}},
    ),
]
ProviderName = Annotated[
    str,
    Meta(
        pattern=r"^(ledger:)?[a-z0-9][a-z0-9-]{0,62}$(?!\n)",
        description="one of the tenant's providers, or ledger:TENANT for another tenant of this ledger",
    ),
]
Reference = Annotated[str, Meta(min_length=1, max_length=256, description="the producer's own name for it")]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its offset")]
Metadata = dict[str, Any]


LEDGER_PREFIX = "ledger:"
"""A provider of this name is another tenant of this ledger."""
TRANSIT_PREFIX = "transit:"
"""An account of this name stands for another tenant of this ledger."""


class _Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    pass


class OpenAccount(_Command, frozen=True):
    account: AccountCode
    normal_side: Literal["credit", "debit"] = "credit"
    overdraft: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | Literal["unlimited"] | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class CloseAccount(_Command, frozen=True):
    account: AccountCode


class PostTransfer(_Command, frozen=True):
    debit: AccountCode
    credit: AccountCode
    amount: Amount
    asset: AssetCode
    reference: Reference | UnsetType = UNSET
    effective_at: Moment | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class EntryLine(_Command, frozen=True):
    account: AccountCode
    asset: AssetCode
    amount: SignedAmount


class PostTransaction(_Command, frozen=True):
    entries: Annotated[tuple[EntryLine, ...], Meta(min_length=2, max_length=100)]
    reference: Reference | UnsetType = UNSET
    effective_at: Moment | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class ReverseTransaction(_Command, frozen=True):
    transaction: EventId
    amount: Amount | UnsetType = UNSET


class PlaceHold(_Command, frozen=True):
    debit: AccountCode
    credit: AccountCode
    amount: Amount
    asset: AssetCode
    expires_at: Moment | UnsetType = UNSET
    reference: Reference | UnsetType = UNSET


class CaptureHold(_Command, frozen=True):
    hold: EventId
    amount: Amount | UnsetType = UNSET
    final: bool = True


class VoidHold(_Command, frozen=True):
    hold: EventId


class Fee(_Command, frozen=True):
    """What of a payment goes to another account than `credit`."""

    account: AccountCode
    amount: Amount


class RequestPayment(_Command, frozen=True):
    debit: AccountCode
    credit: AccountCode
    amount: Amount
    asset: AssetCode
    provider: ProviderName
    fee: Fee | UnsetType = UNSET
    reference: Reference | UnsetType = UNSET
    deadline: Moment | UnsetType = UNSET


Command = (
    OpenAccount
    | CloseAccount
    | PostTransfer
    | PostTransaction
    | ReverseTransaction
    | PlaceHold
    | CaptureHold
    | VoidHold
    | RequestPayment
)


class Event(msgspec.Struct, frozen=True, gc=False):
    """A payment event as the books see it: one id, one tenant, one command, one outcome for ever.

    `fingerprint` is 16 bytes of its content (type and data) whatever the order of its members;
    `topic`, `partition` and `offset` say where it was read, and are None for what did not come from the topic.
    """

    id: str
    tenant: str
    type: str
    command: Command
    fingerprint: bytes
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    key: bytes | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """The key of the event in the books: ids are unique inside their tenant."""
        return self.tenant, self.id


def credit_of(command: PlaceHold | RequestPayment) -> str:
    """Name the account that a capture credits here: of a payment to another tenant, the one that stands for it."""
    if isinstance(command, RequestPayment) and command.provider.startswith(LEDGER_PREFIX):
        return TRANSIT_PREFIX + command.provider.removeprefix(LEDGER_PREFIX)
    return command.credit


def hold_of(event: Event) -> str | None:
    """Name the hold that an event is about, if it is about one."""
    match event.command:
        case PlaceHold() | RequestPayment():
            return event.id
        case CaptureHold() | VoidHold():
            return event.command.hold.lower()
    return None
