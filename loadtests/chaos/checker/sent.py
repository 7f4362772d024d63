"""What the load says that it sent, and what the broker acknowledged of it: a line of JSON for each record."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson


class Sent(NamedTuple):
    """One record. Acknowledged, it is in the log at its partition and offset; else nobody knows."""

    topic: str | None
    partition: int | None
    offset: int | None
    digest: bytes
    acked: bool


def digest_of(value: bytes | None) -> bytes:
    """Give 16 bytes that tell values apart; a tombstone is another than an empty value."""
    return hashlib.blake2b(b"-" if value is None else b"+" + value, digest_size=16).digest()


def read_sent(path: Path) -> Iterator[Sent]:
    """Read a file; a last line that was not finished is left out, as its record was never acknowledged."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield sent_of(orjson.loads(line))


def sent_of(row: dict[str, Any]) -> Sent:
    """Read a row: {topic?, partition, offset, value_base64 or value, acked?}.

    Without `acked`, a row with an offset and without an `error` is acknowledged. `value` is base64 where the row has
    `at`, as the truth of the load has it, else text.
    """
    acked = row.get("acked", row.get("error") is None) and row.get("offset") is not None
    return Sent(
        row.get("topic"), row.get("partition"), row.get("offset"), digest_of(_value(row)), bool(acked)
    )


def _value(row: dict[str, Any]) -> bytes | None:
    encoded = row.get("value_base64", row.get("value") if "at" in row else None)
    if encoded is not None:
        return base64.b64decode(encoded)
    text = None if "at" in row else row.get("value")
    return None if text is None else str(text).encode()
