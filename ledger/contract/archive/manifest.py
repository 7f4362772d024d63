"""The manifest: a line of JSON for each segment of a partition, in parts; and the names of all objects."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ledger.contract.archive.segment import Head, Index, segment_hash

LINES_A_PART = 1000
_SEGMENT = re.compile(r"([^/]+)/segments/(\d{5,10})/(\d{20})\.segment", re.ASCII)
_PART = re.compile(r"([^/]+)/manifests/(\d{5,10})/(\d{6,10})-(\d{20})\.jsonl", re.ASCII)


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


def segments_prefix(topic: str, partition: int | None = None) -> str:
    return f"{topic}/segments/" + ("" if partition is None else f"{partition:05d}/")


def manifests_prefix(topic: str, partition: int | None = None) -> str:
    return f"{topic}/manifests/" + ("" if partition is None else f"{partition:05d}/")


def segment_name(topic: str, partition: int, first: int) -> str:
    """Name a segment by what it begins with: two who archive at once meet in the name, and one gives way."""
    return f"{segments_prefix(topic, partition)}{first:020d}.segment"


def part_name(topic: str, partition: int, part: int, first: int) -> str:
    """Name a part of the manifest by its number, and by the offset at which its first segment begins."""
    return f"{manifests_prefix(topic, partition)}{part:06d}-{first:020d}.jsonl"


class SegmentPlace(NamedTuple):
    """What the name of a segment says."""

    topic: str
    partition: int
    first: int


class PartPlace(NamedTuple):
    """What the name of a part of a manifest says."""

    topic: str
    partition: int
    part: int
    first: int


def segment_place(name: str) -> SegmentPlace | None:
    """Read the name of a segment; None for any other."""
    found = _SEGMENT.fullmatch(name)
    return None if found is None else SegmentPlace(found[1], int(found[2]), int(found[3]))


def part_place(name: str) -> PartPlace | None:
    """Read the name of a part of a manifest; None for any other."""
    found = _PART.fullmatch(name)
    return None if found is None else PartPlace(found[1], int(found[2]), int(found[3]), int(found[4]))


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
