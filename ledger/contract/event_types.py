"""The types of event that can come in, each with the command that its data holds."""

import re

from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    OpenAccount,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
    ReverseTransaction,
    VoidHold,
)

COMMANDS: dict[str, type[Command]] = {
    "account.open.v1": OpenAccount,
    "account.close.v1": CloseAccount,
    "transfer.post.v1": PostTransfer,
    "transaction.post.v1": PostTransaction,
    "transaction.reverse.v1": ReverseTransaction,
    "hold.place.v1": PlaceHold,
    "hold.capture.v1": CaptureHold,
    "hold.void.v1": VoidHold,
    "payment.request.v1": RequestPayment,
}

_VERSIONED = re.compile(r"(?P<name>[a-z]+(?:\.[a-z]+)+)\.v[0-9]+\Z")
_NAMES = {event_type.rpartition(".")[0] for event_type in COMMANDS}


def is_other_version(event_type: str) -> bool:
    """Tell whether `event_type` is a known name in a version that this ledger does not speak."""
    match = _VERSIONED.match(event_type)
    return match is not None and match["name"] in _NAMES
