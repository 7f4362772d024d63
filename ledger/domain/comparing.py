"""What the books hold of an event, compared with what the event asked for."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ledger.domain.commands import (
    CaptureHold,
    Command,
    Event,
    Fee,
    OpenAccount,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
    ReverseTransaction,
    credit_of,
)

StoredLine = tuple[str | None, str, int]
"""Account, asset and signed amount of an entry."""


class StoredTransaction(msgspec.Struct, frozen=True, gc=False):
    """A transaction as it is stored."""

    type: str
    posted_at: datetime
    effective_at: datetime
    reference: str | None
    metadata_stands: bool
    """Whether its metadata is that of the event."""
    reverses: str | None
    captures: str | None
    lines: Sequence[StoredLine]


class StoredHold(msgspec.Struct, frozen=True, gc=False):
    """What of a hold never changes, as it is stored."""

    debit: str
    credit: str
    asset: str
    amount: int
    expires_at: datetime | None
    reference: str | None


class StoredPayment(msgspec.Struct, frozen=True, gc=False):
    """What of a payment never changes, and does not stand in its hold, as it is stored."""

    provider: str
    fee_account: str | None
    fee_amount: int
    deadline: datetime


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """What the books hold of an event."""

    topic: str | None
    partition: int | None
    offset: int | None
    """Where they say that they first saw its id."""
    fingerprint: bytes
    type: str
    kind: str
    transaction: StoredTransaction | None = None
    hold: StoredHold | None = None
    payment: StoredPayment | None = None


def is_first(event: Event, stored: StoredEvent) -> bool:
    """Tell whether the books say that they first saw the id of `event` in this very record."""
    there = (stored.topic, stored.partition, stored.offset)
    return (event.topic, event.partition, event.offset) == there


def differences(event: Event, stored: StoredEvent) -> Iterator[str]:
    """Name what the books hold otherwise than `event`, the first of its id, has it."""
    if stored.fingerprint != event.fingerprint:
        yield "fingerprint"
    if stored.type != event.type:
        yield "type"
    if stored.kind == "duplicate" and not isinstance(event.command, OpenAccount):
        yield "kind"
    if stored.transaction is not None:
        yield from _transaction_differences(event, stored.transaction)
    yield from _hold_differences(event.command, stored)


def _hold_differences(command: Command, stored: StoredEvent) -> Iterator[str]:
    if not isinstance(command, PlaceHold | RequestPayment):
        return
    if stored.hold not in (None, _hold_of(command)):
        yield "hold"
    if isinstance(command, RequestPayment) and stored.payment not in (None, _payment_of(command, stored)):
        yield "payment"


def _transaction_differences(event: Event, stored: StoredTransaction) -> Iterator[str]:
    command = event.command
    if stored.type != event.type:
        yield "transaction.type"
    if stored.effective_at != (_moment(command, "effective_at") or stored.posted_at):
        yield "effective_at"
    if stored.reference != _optional(command, "reference"):
        yield "reference"
    if not stored.metadata_stands:
        yield "metadata"
    if stored.reverses != (command.transaction.lower() if isinstance(command, ReverseTransaction) else None):
        yield "reverses"
    if stored.captures != (command.hold.lower() if isinstance(command, CaptureHold) else None):
        yield "captures"
    if not _lines_stand(command, stored.lines):
        yield "entries"


def _lines_stand(command: Command, lines: Sequence[StoredLine]) -> bool:
    """Compare the lines with those asked for; of those that follow from others in the books, their amount."""
    match command:
        case PostTransfer():
            amount, asset = command.amount, command.asset
            return list(lines) == [(command.debit, asset, -amount), (command.credit, asset, amount)]
        case PostTransaction():
            return list(lines) == [(line.account, line.asset, line.amount) for line in command.entries]
        case ReverseTransaction() | CaptureHold():
            amounts = {abs(amount) for _, _, amount in lines}
            return command.amount is msgspec.UNSET or len(lines) > 2 or amounts == {command.amount}
    return False


def _hold_of(command: PlaceHold | RequestPayment) -> StoredHold:
    expires_at = _moment(command, "expires_at")
    return StoredHold(
        command.debit,
        credit_of(command),
        command.asset,
        command.amount,
        expires_at,
        _optional(command, "reference"),
    )


def _payment_of(command: RequestPayment, stored: StoredEvent) -> StoredPayment | None:
    """Give what is to be stored; where the request leaves the deadline open, it may be any."""
    if stored.payment is None:
        return None
    fee: Fee | None = _optional(command, "fee")
    return StoredPayment(
        command.provider,
        None if fee is None else fee.account,
        0 if fee is None else fee.amount,
        _moment(command, "deadline") or stored.payment.deadline,
    )


def metadata_of(command: Command) -> Any:
    """Give the metadata that a transaction takes over from its event."""
    return _optional(command, "metadata") if isinstance(command, PostTransfer | PostTransaction) else None


def _optional(command: Command, name: str) -> Any:
    value = getattr(command, name, msgspec.UNSET)
    return None if value is msgspec.UNSET else value


def _moment(command: Command, name: str) -> datetime | None:
    moment: datetime | None = _optional(command, name)
    return None if moment is None else moment.astimezone(UTC)
