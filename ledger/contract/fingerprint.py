"""Fingerprints: 16 bytes that are the same for the same content, whatever the order of its members."""

import hashlib
import json

import msgspec

from ledger.domain.commands import Command

_canonical = msgspec.json.Encoder(order="deterministic")


def fingerprint_of(event_type: str, command: Command) -> bytes:
    """Digest what the event asks for: its type and data, with defaults left out and moments as they came."""
    digest = hashlib.blake2b(event_type.encode(), digest_size=16)
    digest.update(_encode(command))
    return digest.digest()


def _encode(command: Command) -> bytes:
    try:
        return _canonical.encode(command)
    except (OverflowError, msgspec.MsgspecError):  # an integer beyond 64 bits, which is refused later
        content = msgspec.to_builtins(command, order="deterministic")
        return json.dumps(content, sort_keys=True, default=str).encode()
