"""Events to send: one function a type, each with a fresh id, and checked before it leaves the program."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

import msgspec
from msgspec import UNSET

from ledger.adapters.system import new_event_id
from ledger.client.checking import check
from ledger.client.errors import InvalidEventError
from ledger.contract.dead_letter import NotAnEventError
from ledger.contract.decode import decode_event
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    EntryLine,
    Fee,
    OpenAccount,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
    ReverseTransaction,
    VoidHold,
)

SOME_TENANT = "tenant"
"""Events are checked before it is known whose they are."""


class Context(TypedDict, total=False):
    """What any event may be given besides its data."""

    id: str
    """A UUIDv7; fresh unless given. Whoever must send an event again after a crash keeps its id first."""
    correlation_id: str
    """Your own name for what belongs together, such as an order; copied to all that the event causes."""
    traceparent: str
    """W3C trace context; copied in the same way."""
    source: str
    """Who asks; that of the client unless given."""


class NewEvent(msgspec.Struct, frozen=True):
    """An event to send. Its id is made once: sending the same object again is safe, however often."""

    id: str
    type: str
    command: Command
    time: datetime
    ordered_by: str | None = None
    """The account under whose key it goes, where its data does not tell."""
    correlation_id: str | None = None
    traceparent: str | None = None
    source: str | None = None

    def value(self, *, source: str, tenant: str | None) -> bytes:
        """Write it as a CloudEvent; without a tenant it becomes that of whoever's key it is sent with."""
        members: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source or source,
            "type": self.type,
            "time": self.time,
            "tenant": tenant,
            "partitionkey": f"{tenant}/{self.ordered_by}" if tenant and self.ordered_by else None,
            "correlationid": self.correlation_id,
            "traceparent": self.traceparent,
            "data": self.command,
        }
        return msgspec.json.encode({name: value for name, value in members.items() if value is not None})


class Line(NamedTuple):
    """One entry of a transaction (minor units: + credits, - debits)."""

    account: str
    asset: str
    amount: int


def transfer(
    debit: str,
    credit: str,
    amount: int,
    asset: str,
    *,
    reference: str | None = None,
    effective_at: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
    **context: Unpack[Context],
) -> NewEvent:
    """Move `amount` minor units from `debit` to `credit`."""
    more = _given(reference=reference, effective_at=effective_at, metadata=metadata)
    return _event("transfer.post.v1", PostTransfer(debit, credit, amount, asset, **more), context)


def transaction(
    lines: Iterable[tuple[str, str, int]],
    *,
    reference: str | None = None,
    effective_at: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
    **context: Unpack[Context],
) -> NewEvent:
    """Post 2 to 100 entries of (account, asset, amount) together: + credits, - debits; each asset sums to zero."""
    entries = tuple(EntryLine(*each) for each in lines)
    more = _given(reference=reference, effective_at=effective_at, metadata=metadata)
    return _event("transaction.post.v1", PostTransaction(entries, **more), context)


def reversal(
    transaction: NewEvent | str,
    amount: int | None = None,
    *,
    account: str | None = None,
    **context: Unpack[Context],
) -> NewEvent:
    """Take a transaction back, or `amount` of one with two entries.

    It keeps its place behind the transaction if that is given as an event, was sent by the same client, or if
    `account` names the account that it debited. The same holds for `capture` and `void`.
    """
    command = ReverseTransaction(_id_of(transaction), **_given(amount=amount))
    return _event("transaction.reverse.v1", command, context, account or _account_of(transaction))


def hold(
    debit: str,
    credit: str,
    amount: int,
    asset: str,
    *,
    expires_at: datetime | None = None,
    reference: str | None = None,
    **context: Unpack[Context],
) -> NewEvent:
    """Set funds of `debit` aside for a later transfer to `credit`; the hold has the id of the event."""
    more = _given(expires_at=expires_at, reference=reference)
    return _event("hold.place.v1", PlaceHold(debit, credit, amount, asset, **more), context)


def capture(
    hold: NewEvent | str,
    amount: int | None = None,
    *,
    final: bool = True,
    account: str | None = None,
    **context: Unpack[Context],
) -> NewEvent:
    """Post a transfer out of a hold: all that is left, or `amount`; `final` lets go of the rest."""
    command = CaptureHold(_id_of(hold), final=final, **_given(amount=amount))
    return _event("hold.capture.v1", command, context, account or _account_of(hold))


def void(hold: NewEvent | str, *, account: str | None = None, **context: Unpack[Context]) -> NewEvent:
    """Let go of what is left of a hold."""
    return _event("hold.void.v1", VoidHold(_id_of(hold)), context, account or _account_of(hold))


def payment(
    debit: str,
    credit: str,
    amount: int,
    asset: str,
    provider: str,
    *,
    fee: tuple[str, int] | None = None,
    reference: str | None = None,
    deadline: datetime | None = None,
    **context: Unpack[Context],
) -> NewEvent:
    """Ask for a payment through an outside provider; `fee` is (account, amount), a part of the amount."""
    more = _given(fee=None if fee is None else Fee(*fee), reference=reference, deadline=deadline)
    return _event(
        "payment.request.v1", RequestPayment(debit, credit, amount, asset, provider, **more), context
    )


def account_opening(
    account: str,
    *,
    normal_side: Literal["credit", "debit"] = "credit",
    overdraft: int | Literal["unlimited"] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **context: Unpack[Context],
) -> NewEvent:
    """Open an account with settings of its own; without, accounts open themselves."""
    command = OpenAccount(account, normal_side, **_given(overdraft=overdraft, metadata=metadata))
    return _event("account.open.v1", command, context)


def account_closing(account: str, **context: Unpack[Context]) -> NewEvent:
    """Close an account for good; it must be empty."""
    return _event("account.close.v1", CloseAccount(account), context)


def _given(**members: Any) -> dict[str, Any]:
    return {name: UNSET if value is None else value for name, value in members.items()}


def _id_of(event: NewEvent | str) -> str:
    return event.id if isinstance(event, NewEvent) else event


def _account_of(event: NewEvent | str) -> str | None:
    """Name the account under whose key an event goes."""
    if isinstance(event, str):
        return None
    match event.command:
        case PostTransfer() | PlaceHold() | RequestPayment():
            return event.command.debit
        case PostTransaction():
            return next((line.account for line in event.command.entries if line.amount < 0), None)
    return event.ordered_by


def _event(kind: str, command: Command, context: Context, ordered_by: str | None = None) -> NewEvent:
    """Make an event, or raise InvalidEventError where it could only be refused."""
    made = NewEvent(
        context.get("id") or new_event_id(),
        kind,
        command,
        datetime.now(UTC),
        ordered_by,
        context.get("correlation_id"),
        context.get("traceparent"),
        context.get("source"),
    )
    try:
        decode_event(made.value(source="client", tenant=SOME_TENANT))
    except NotAnEventError as fault:
        raise InvalidEventError(fault.reason, fault.detail) from fault
    except TypeError as fault:
        raise InvalidEventError("invalid_data", str(fault)) from fault
    check(command)
    return made
