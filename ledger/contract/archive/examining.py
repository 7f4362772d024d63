"""Examining a segment byte by byte: each fault says which block it is in, which bytes, and which offsets."""

from collections.abc import Iterator

import msgspec

from ledger.contract.archive.blocks import UnreadableBlockError, unpack
from ledger.contract.archive.segment import (
    FRAME_BYTES,
    MAGIC,
    TRAILER_BYTES,
    BlockPlace,
    DamagedSegmentError,
    Head,
    Index,
    faults_of_index,
    frame_length,
    index_bytes,
    read_head,
    read_index,
    unframe,
)


class SegmentFault(msgspec.Struct, frozen=True):
    """What is wrong in a segment: `block` counts from 0; bytes and offsets from the first to before the second."""

    what: str
    block: int | None = None
    bytes: tuple[int, int] | None = None
    offsets: tuple[int, int] | None = None


class Examined(msgspec.Struct, frozen=True):
    """A segment as its bytes have it; None for what cannot be read."""

    head: Head | None
    index: Index | None
    faults: list[SegmentFault]


def examine(segment: bytes) -> Examined:
    """Look at every byte of a segment."""
    faults: list[SegmentFault] = []
    head: Head | None = None
    index: Index | None = None
    try:
        head = read_head(segment)
    except DamagedSegmentError as error:
        faults.append(_fault(error))
    try:
        index = read_index(segment, len(segment))
    except DamagedSegmentError as error:
        faults.append(_fault(error))
    if index is not None:
        faults += _blocks(segment, head, index)
    else:
        faults += _frames(segment)
    if head is not None and index is not None:
        faults += [SegmentFault(f"the index cannot be: {what}") for what in faults_of_index(head, index)]
    return Examined(head, index, faults)


def _fault(error: DamagedSegmentError) -> SegmentFault:
    what, _, _ = str(error).partition(", in bytes ")
    return SegmentFault(what, bytes=(error.begin, error.end))


def _blocks(segment: bytes, head: Head | None, index: Index) -> Iterator[SegmentFault]:
    """Check each block against what the index says of it, and that nothing lies between them."""
    at = _end_of_head(segment) if head is not None else None
    for number, place in enumerate(index.blocks):
        begin, end = place.at, place.at + place.bytes
        if at is not None and begin != at:
            yield SegmentFault("the index leaves bytes out", number, (min(at, begin), max(at, begin)))
        what = _fault_of_block(segment[begin:end], head, place)
        if what is not None:
            yield SegmentFault(what, number, (begin, end), (place.first, place.last + 1))
        at = end
    end = len(segment) - index_bytes(segment, len(segment))
    if at is not None and at != end:
        yield SegmentFault("the index leaves bytes out", None, (min(at, end), max(at, end)))


def _fault_of_block(framed: bytes, head: Head | None, place: BlockPlace) -> str | None:
    try:
        payload = unframe(framed, place.at, "the block")
        if framed[4:FRAME_BYTES].hex() != place.checksum:
            return "the block is another than the index says"
        records = unpack(payload, head.topic if head else "", head.partition if head else 0)
    except DamagedSegmentError:
        return "the block does not match its checksum"
    except UnreadableBlockError as error:
        return f"the block cannot be read: {error}"
    offsets = [record.offset for record in records]
    is_right = offsets[:1] + offsets[-1:] == [place.first, place.last] and len(offsets) == place.records
    if not is_right or offsets != sorted(set(offsets)):
        return "the block holds other offsets than the index says"
    return None


def _frames(segment: bytes) -> Iterator[SegmentFault]:
    """Without an index, go from frame to frame by their own lengths, as far as these lead."""
    at, number, end = _end_of_head(segment), 0, len(segment) - TRAILER_BYTES
    while at + FRAME_BYTES <= end:
        length = FRAME_BYTES + frame_length(segment, at)
        is_index = segment[at + FRAME_BYTES : at + FRAME_BYTES + 1] == b"{"
        if at + length > end:
            yield SegmentFault("a frame reaches beyond the end", number, (at, len(segment)))
            return
        try:
            unframe(segment[at : at + length], at, "the block")
        except DamagedSegmentError:
            if not is_index:  # which was told already
                yield SegmentFault("the block does not match its checksum", number, (at, at + length))
        at, number = at + length, number + 1


def _end_of_head(segment: bytes) -> int:
    return len(MAGIC) + FRAME_BYTES + frame_length(segment, len(MAGIC))
