"""The truth: a line of JSON for each record that was sent, with its bytes and what the broker said of it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec


class SentRecord(msgspec.Struct, frozen=True):
    """One record. Key and value are base64 in the file, null for none.

    `at` is when it was handed to the producer, in seconds since 1970. With an `error` nobody knows whether the
    log has it; else it is in the log once, at its partition and offset.
    """

    at: float
    kind: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    offset: int | None = None
    error: str | None = None


def read_truth(path: Path) -> Iterator[SentRecord]:
    """Read all of them; a last line that was not finished is left out."""
    decoder = msgspec.json.Decoder(SentRecord)
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decoder.decode(line)
