"""The manifest: a line of JSON for each segment of a partition, in parts; and the names of all objects."""

import re
from collections.abc import Sequence

import msgspec

from ledger.contract.archive.segment import Head, Index, segment_hash

LINES_A_PART = 1000
_SEGMENT = re.compile(r"(?P<topic>[^/]+)/(?P<partition>\d{5,})/(?P<first>\d{20})\.segment")


class SegmentLine(msgspec.Struct, frozen=True):
    """What the manifest says of a segment; offsets from `first` to before `next`, times in milliseconds since 1970.

    `expired` counts offsets that Kafka deleted before they were archived.
    """

    number: int
    first: int
    next: int
    records: int
    expired: int
    bytes: int
    first_ms: int | None
    last_ms: int | None
    previous: str | None
    hash: str


class DamagedManifestError(ValueError):
    """A line of a part of the manifest cannot be read; bytes `begin` to before `end` of it."""

    def __init__(self, line: int, begin: int, end: int) -> None:
        super().__init__(f"line {line} cannot be read, in bytes {begin} to {end - 1}")
        self.begin = begin
        self.end = end


def line_of(head: Head, index: Index, segment: bytes) -> SegmentLine:
    return SegmentLine(
        head.number,
        head.first,
        index.next,
        index.records,
        index.expired,
        len(segment),
        index.first_ms,
        index.last_ms,
        head.previous,
        segment_hash(segment),
    )


def partition_prefix(topic: str, partition: int) -> str:
    return f"{topic}/{partition:05d}/"


def segment_name(topic: str, partition: int, first: int) -> str:
    """Name a segment by what it begins with: two who archive at once meet in the name, and one gives way."""
    return f"{partition_prefix(topic, partition)}{first:020d}.segment"


def part_name(topic: str, partition: int, part: int) -> str:
    return f"{partition_prefix(topic, partition)}manifest-{part:06d}.jsonl"


def place_of(name: str) -> tuple[str, int, int] | None:
    """Read topic, partition and first offset from the name of a segment; None for any other name."""
    found = _SEGMENT.fullmatch(name)
    return None if found is None else (found["topic"], int(found["partition"]), int(found["first"]))


def write_part(lines: Sequence[SegmentLine]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def read_part(part: bytes) -> list[SegmentLine]:
    """Read a part; raises DamagedManifestError."""
    lines: list[SegmentLine] = []
    at = 0
    for number, text in enumerate(part.splitlines(keepends=True), start=1):
        try:
            if not text.endswith(b"\n"):
                raise msgspec.DecodeError("it is cut off")
            lines.append(msgspec.json.decode(text, type=SegmentLine))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DamagedManifestError(number, at, at + len(text)) from error
        at += len(text)
    return lines
