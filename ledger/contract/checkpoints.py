"""Checkpoints of the audit chain, as they are kept elsewhere: heads, and the links since the checkpoint before."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from ledger.domain.chain import Link

FORM = 1
_NAME = re.compile(r"checkpoints/(\d{10})\.json", re.ASCII)


class DamagedCheckpointError(ValueError):
    """An object is no checkpoint, or holds no links."""


class TenantHead(msgspec.Struct, frozen=True, gc=False):
    """Where the chain of a tenant ended; the hash in hexadecimal."""

    tenant: str
    number: int
    hash: str


class Part(msgspec.Struct, frozen=True):
    """An object with links, and the hash of its bytes."""

    name: str
    links: int
    hash: str


class Checkpoint(msgspec.Struct, frozen=True):
    """Where all chains ended at one moment; `previous` is the hash of the checkpoint before, as it was signed."""

    number: int
    at: datetime
    previous: str | None
    heads: Sequence[TenantHead]
    parts: Sequence[Part]
    form: int = FORM


class Signed(msgspec.Struct, frozen=True):
    """A checkpoint as text, and the signature of the bytes of that text in UTF-8."""

    checkpoint: str
    signature: str


_signed = msgspec.json.Decoder(Signed)
_checkpoint = msgspec.json.Decoder(Checkpoint)
_line = msgspec.json.Decoder(tuple[str, int, str, str, str, bool])


def hash_of_object(body: bytes) -> str:
    """Give 32 bytes of BLAKE2b in hexadecimal."""
    return hashlib.blake2b(body, digest_size=32).hexdigest()


def checkpoint_name(number: int) -> str:
    """Name a checkpoint; the first has the number 1."""
    return f"checkpoints/{number:010d}.json"


def checkpoint_number(name: str) -> int | None:
    """Read the number from a name; None for other objects."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found[1])


def part_name(number: int, body: bytes) -> str:
    """Name a part after what is in it: an export that was broken off leaves nothing in the way of the next."""
    return f"links/{number:010d}/{hash_of_object(body)}.jsonl"


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Write what is signed."""
    return msgspec.json.encode(checkpoint)


def encode_signed(body: bytes, signature: str) -> bytes:
    """Write the object."""
    return msgspec.json.encode(Signed(body.decode(), signature))


def decode_signed(body: bytes) -> tuple[bytes, str]:
    """Read what was signed, and the signature; raises DamagedCheckpointError."""
    try:
        found = _signed.decode(body)
        return found.checkpoint.encode(), found.signature
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        raise DamagedCheckpointError(str(fault)) from fault


def decode_checkpoint(body: bytes) -> Checkpoint:
    """Read what was signed; raises DamagedCheckpointError."""
    try:
        return _checkpoint.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        raise DamagedCheckpointError(str(fault)) from fault


def encode_links(links: Iterable[Link]) -> bytes:
    """Write links, one a line."""
    lines = (
        (link.tenant, link.number, link.event_id, link.digest.hex(), link.hash.hex(), link.late)
        for link in links
    )
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def decode_links(body: bytes) -> list[Link]:
    """Read links; raises DamagedCheckpointError."""
    try:
        lines = [_line.decode(line) for line in body.splitlines()]
        return [
            Link(tenant, number, event, bytes.fromhex(digest), bytes.fromhex(hashed), late)
            for tenant, number, event, digest, hashed, late in lines
        ]
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        raise DamagedCheckpointError(str(fault)) from fault
