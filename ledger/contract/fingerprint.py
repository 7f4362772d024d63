"""Fingerprints: 16 bytes that are the same for the same content, whatever the order of its members."""

import hashlib
import json

import msgspec

from ledger.domain.account import default_overdraft
from ledger.domain.commands import Command, OpenAccount

_canonical = msgspec.json.Encoder(order="deterministic")


def fingerprint_of(event_type: str, command: Command) -> bytes:
    """Digest what the event asks for: its type and data, with defaults left out and moments as they came."""
    content = event_type.encode() + _encode(_without_default(command))
    return hashlib.blake2b(content, digest_size=16).digest()


def _without_default(command: Command) -> Command:
    # The one default that no struct can leave out by itself: it goes by the account's code.
    if isinstance(command, OpenAccount):
        given = None if command.overdraft == "unlimited" else command.overdraft
        if given == default_overdraft(command.account):
            return msgspec.structs.replace(command, overdraft=msgspec.UNSET)
    return command


def _encode(command: Command) -> bytes:
    try:
        return _canonical.encode(command)
    except (OverflowError, msgspec.MsgspecError):  # an integer beyond 64 bits, which is refused later
        content = msgspec.to_builtins(command, order="deterministic")
        return json.dumps(content, sort_keys=True, default=str).encode()
