"""Which key an event goes under: the account whose funds it spends, which keeps that account's order."""

from collections import OrderedDict

import msgspec

from ledger.contract.dead_letter import DeadLetterReason, NotAnEventError
from ledger.contract.outgoing import record_key
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Event,
    OpenAccount,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
    ReverseTransaction,
    VoidHold,
)

REMEMBERED_MAX = 100_000


class _Partitioned(msgspec.Struct):
    partitionkey: str | None = None


class KeyChooser:
    """Chooses keys, and remembers those of recent events, so that what follows from one goes where it went."""

    def __init__(self) -> None:
        self._recent: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def key_for(self, event: Event, value: bytes) -> bytes:
        """Choose the key of `event`, whose bytes are `value`: CloudEvents' `partitionkey` where it gives one.

        Raises NotAnEventError where that is no text.
        """
        return _given_key(value) or self.key_of(event)

    def key_of(self, event: Event) -> bytes:
        """Choose the key of `event`; a capture, void or reversal goes where its hold or transaction went."""
        account = _spending_account(event)
        if account is not None:
            key = record_key(event.tenant, account)
        else:
            key = self._recent.get((event.tenant, _refers_to(event))) or record_key(
                event.tenant, _refers_to(event)
            )
        self._remember(event, key)
        return key

    def _remember(self, event: Event, key: bytes) -> None:
        self._recent[event.identity] = key
        if len(self._recent) > REMEMBERED_MAX:
            self._recent.popitem(last=False)


def _given_key(value: bytes) -> bytes | None:
    if b'"partitionkey"' not in value:
        return None
    try:
        key = msgspec.json.decode(value, type=_Partitioned).partitionkey
    except msgspec.ValidationError as error:
        raise NotAnEventError(DeadLetterReason.INVALID_ENVELOPE, str(error)) from None
    return key.encode() if key else None


def _spending_account(event: Event) -> str | None:
    command = event.command
    match command:
        case PostTransfer() | PlaceHold() | RequestPayment():
            return command.debit
        case OpenAccount() | CloseAccount():
            return command.account
        case PostTransaction():
            return next(
                (line.account for line in command.entries if line.amount < 0), command.entries[0].account
            )
    return None


def _refers_to(event: Event) -> str:
    command = event.command
    match command:
        case ReverseTransaction():
            return command.transaction.lower()
        case CaptureHold() | VoidHold():
            return command.hold.lower()
    return event.id
