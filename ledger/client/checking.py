"""What the books would refuse of an event whatever they hold: it is said before the event is sent."""

from collections.abc import Iterator

from msgspec import UnsetType

from ledger.client.errors import InvalidEventError
from ledger.domain.commands import (
    CaptureHold,
    Command,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
    ReverseTransaction,
    credit_of,
)
from ledger.domain.money import in_range
from ledger.domain.rejection import Reason
from ledger.domain.transaction import is_unbalanced


def check(command: Command) -> None:
    """Raise InvalidEventError with the reason for which the books would refuse `command`."""
    for reason, detail in _faults(command):
        raise InvalidEventError(reason.value, detail)


def _faults(command: Command) -> Iterator[tuple[Reason, str]]:
    """Find what is wrong, in the order of the closed list."""
    if isinstance(command, PostTransaction) and is_unbalanced(
        (line.asset, line.amount) for line in command.entries
    ):
        yield Reason.UNBALANCED, "the entries do not sum to zero for each asset"
    if _is_one_account(command):
        yield Reason.SAME_ACCOUNT, "money moves between two accounts"
    for amount in _amounts(command):
        if not in_range(amount):
            yield Reason.AMOUNT_OUT_OF_RANGE, f"{amount} is not 1 … 2^63-1 minor units"


def _is_one_account(command: Command) -> bool:
    match command:
        case RequestPayment():
            fee = None if isinstance(command.fee, UnsetType) else command.fee.account
            return command.debit in (credit_of(command), fee)
        case PostTransfer() | PlaceHold():
            return command.debit == command.credit
        case PostTransaction():
            return len({line.account for line in command.entries}) == 1
    return False


def _amounts(command: Command) -> Iterator[int]:
    """Give all that must be an amount; what a payment has left after its fee is one."""
    match command:
        case PostTransfer() | PlaceHold():
            yield command.amount
        case RequestPayment():
            yield command.amount
            if not isinstance(command.fee, UnsetType):
                yield command.fee.amount
                yield command.amount - command.fee.amount
        case CaptureHold() | ReverseTransaction():
            if not isinstance(command.amount, UnsetType):
                yield command.amount
        case PostTransaction():
            yield from (abs(line.amount) for line in command.entries)
