"""Segments: a head, blocks and an index, each framed with its checksum; each segment names the hash of the one before.

    segment = MAGIC  frame(head)  frame(block)…  frame(index)  length of the index's frame (u32)  END
    frame   = length of the payload (u32)  16 bytes of BLAKE2b of the payload  payload

Numbers are big-endian; head and index are JSON, blocks are as `blocks.py` packs them.
"""

import hashlib
import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeVar

import msgspec

from ledger.contract.archive.blocks import pack, size_of
from ledger.contract.dead_letter import Record

MAGIC = b"LDGRSEG1"
END = b"1GESRGDL"
BLOCK_BYTES = 1024**2
"""A block is closed once its records are this large before they are compressed."""
FRAME_BYTES = 20
TRAILER_BYTES = 4 + len(END)
HASH_BYTES = 32
CHECKSUM_BYTES = 16

_LENGTH = struct.Struct(">I")

HoleKind = Literal["empty", "expired"]
"""`empty`: offsets that hold no readable record. `expired`: records that Kafka deleted before they were archived."""


class Hole(msgspec.Struct, frozen=True, array_like=True):
    """Offsets from `first` to before `next` of which the segment holds no record."""

    first: int
    next: int
    kind: HoleKind


class Head(msgspec.Struct, frozen=True):
    """Whose segment it is: the `number`th of its partition, from offset `first`, after the one of hash `previous`."""

    topic: str
    partition: int
    number: int
    first: int
    previous: str | None


class BlockPlace(msgspec.Struct, frozen=True):
    """A block: bytes `at` to before `at + bytes` of the segment with its frame, and the records in it."""

    at: int
    bytes: int
    checksum: str
    first: int
    last: int
    records: int
    first_ms: int | None
    last_ms: int | None


class Index(msgspec.Struct, frozen=True):
    """What a segment holds: everything from its head's `first` to before `next`."""

    next: int
    records: int
    holes: Sequence[Hole]
    blocks: Sequence[BlockPlace]

    @property
    def expired(self) -> int:
        return sum(hole.next - hole.first for hole in self.holes if hole.kind == "expired")

    @property
    def first_ms(self) -> int | None:
        return min((each.first_ms for each in self.blocks if each.first_ms is not None), default=None)

    @property
    def last_ms(self) -> int | None:
        return max((each.last_ms for each in self.blocks if each.last_ms is not None), default=None)


class DamagedSegmentError(ValueError):
    """Bytes of a segment are not what was written: from `begin` to before `end`."""

    def __init__(self, what: str, begin: int, end: int) -> None:
        super().__init__(f"{what}, in bytes {begin} to {end - 1}")
        self.begin = begin
        self.end = end


Part = TypeVar("Part")


def segment_hash(segment: bytes) -> str:
    """Give the hash under which the next segment and the manifest name this one: BLAKE2b of all its bytes, in hex."""
    return hashlib.blake2b(segment, digest_size=HASH_BYTES).hexdigest()


def checksum(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=CHECKSUM_BYTES).digest()


def frame(payload: bytes) -> bytes:
    return _LENGTH.pack(len(payload)) + checksum(payload) + payload


def frame_length(segment: bytes, at: int) -> int:
    """Read how long the payload of the frame at `at` says that it is; 0 where there is none."""
    length: int = _LENGTH.unpack_from(segment, at)[0] if len(segment) >= at + _LENGTH.size else 0
    return length


def unframe(framed: bytes, at: int, what: str) -> bytes:
    """Give the payload of the frame that `framed` is, whole; `at` says where it stands, for the error.

    Raises DamagedSegmentError.
    """
    length = _LENGTH.unpack_from(framed)[0] if len(framed) >= FRAME_BYTES else -1
    payload = framed[FRAME_BYTES:]
    if length != len(payload) or framed[_LENGTH.size : FRAME_BYTES] != checksum(payload):
        raise DamagedSegmentError(f"{what} does not match its checksum", at, at + max(1, len(framed)))
    return payload


class SegmentBuilder:
    """Gathers records of one partition, in order, into a segment that is written whole."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.next = head.first
        self._frames = [MAGIC, frame(msgspec.json.encode(head))]
        self.bytes = sum(map(len, self._frames))
        self._blocks: list[BlockPlace] = []
        self._holes: list[Hole] = []
        self._open: list[Record] = []
        self._open_bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether it holds no record yet."""
        return not self._blocks and not self._open

    @property
    def pending_bytes(self) -> int:
        """About how large it would be if it were closed."""
        return self.bytes + self._open_bytes

    def add(self, records: Sequence[Record], log_begins: int = 0) -> None:
        """Add what follows; offsets that are passed over hold no readable record, or expired before `log_begins`."""
        for record in records:
            self.skip_to(record.offset, log_begins)
            self.next = record.offset + 1
            self._open.append(record)
            self._open_bytes += size_of(record)
            if self._open_bytes >= BLOCK_BYTES:
                self._close_block()

    def skip_to(self, offset: int, log_begins: int = 0) -> None:
        """Pass over offsets up to `offset`, which hold nothing by now; raises ValueError if it lies behind."""
        if offset < self.next:
            raise ValueError(f"offset {offset} comes after {self.next - 1}")
        self._leave_out(min(offset, log_begins), "expired")
        self._leave_out(offset, "empty")

    def _leave_out(self, offset: int, kind: HoleKind) -> None:
        if offset > self.next:
            self._holes.append(Hole(self.next, offset, kind))
            self.next = offset

    def _close_block(self) -> None:
        records, self._open, self._open_bytes = self._open, [], 0
        payload = pack(records)
        framed = frame(payload)
        times = [record.timestamp_ms for record in records if record.timestamp_ms is not None]
        self._blocks.append(
            BlockPlace(
                self.bytes,
                len(framed),
                checksum(payload).hex(),
                records[0].offset,
                records[-1].offset,
                len(records),
                min(times, default=None),
                max(times, default=None),
            )
        )
        self._frames.append(framed)
        self.bytes += len(framed)

    def close(self) -> tuple[bytes, Index]:
        """Give the segment's bytes, and its index."""
        if self._open:
            self._close_block()
        records = sum(block.records for block in self._blocks)
        index = Index(self.next, records, joined(self._holes), self._blocks)
        framed = frame(msgspec.json.encode(index))
        return b"".join([*self._frames, framed, _LENGTH.pack(len(framed)), END]), index


def joined(holes: Sequence[Hole]) -> list[Hole]:
    """Make one hole of those of a kind that touch."""
    found: list[Hole] = []
    for hole in holes:
        if found and found[-1].next == hole.first and found[-1].kind == hole.kind:
            found[-1] = Hole(found[-1].first, hole.next, hole.kind)
        else:
            found.append(hole)
    return found


def read_head(begin: bytes) -> Head:
    """Read the head of a segment from its first bytes; raises DamagedSegmentError."""
    at = len(MAGIC)
    if begin[:at] != MAGIC:
        raise DamagedSegmentError("it does not begin as a segment does", 0, at)
    framed = begin[at : at + FRAME_BYTES + frame_length(begin, at)]
    return _decoded(unframe(framed, at, "the head"), Head, at, "the head")


def index_bytes(end: bytes, size: int) -> int:
    """Read from the last bytes of a segment of `size` bytes how many its index and trailer take."""
    at = size - TRAILER_BYTES
    if len(end) < TRAILER_BYTES or end[-len(END) :] != END:
        raise DamagedSegmentError("it does not end as a segment does", max(0, size - len(END)), size)
    length: int = _LENGTH.unpack_from(end, len(end) - TRAILER_BYTES)[0]
    if not FRAME_BYTES <= length <= at - len(MAGIC):
        raise DamagedSegmentError("the length of the index is wrong", at, at + _LENGTH.size)
    return length + TRAILER_BYTES


def read_index(end: bytes, size: int) -> Index:
    """Read the index from the last bytes of a segment; raises DamagedSegmentError."""
    length = index_bytes(end, size)
    at = size - length
    framed = end[len(end) - length : len(end) - TRAILER_BYTES]
    try:
        payload = unframe(framed, at, "the index")
    except DamagedSegmentError as error:
        # It may also be its length, behind it, that is wrong.
        raise DamagedSegmentError("the index does not match its checksum", at, size) from error
    return _decoded(payload, Index, at, "the index")


def _decoded(payload: bytes, kind: type[Part], at: int, what: str) -> Part:
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.DecodeError as error:
        raise DamagedSegmentError(f"{what} cannot be read ({error})", at, at + len(payload)) from error


def faults_of_index(head: Head, index: Index) -> list[str]:
    """Say what in an index cannot be: its blocks and holes must cover all from `first` to `next`, once."""
    stretches = sorted(
        [(each.first, each.last + 1) for each in index.blocks]
        + [(each.first, each.next) for each in index.holes]
    )
    faults = [f"offsets from {begin} to {end - 1} are no offsets" for begin, end in stretches if begin >= end]
    inside = _without_inner_holes(index)
    covered = [(head.first, head.first), *inside, (index.next, index.next)]
    faults += [
        f"offset {before} is followed by {after}"
        for (_, before), (after, _) in pairwise(covered)
        if before != after
    ]
    if index.records != sum(each.records for each in index.blocks):
        faults.append("the records of its blocks are not as many as it says")
    return faults


def _without_inner_holes(index: Index) -> list[tuple[int, int]]:
    """Give the stretches of blocks, and of the holes between them: a hole inside a block is in its stretch."""
    blocks = [(each.first, each.last + 1) for each in index.blocks]
    outer = [
        (hole.first, hole.next)
        for hole in index.holes
        if not any(first < hole.first and hole.next <= last for first, last in blocks)
    ]
    return sorted(blocks + outer)
