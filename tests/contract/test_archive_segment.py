"""A segment whose checksums all fit is still wrong where its index says other things than its blocks hold."""

from random import Random
from typing import Any

import msgspec
import pytest

from ledger.contract.archive.examining import examine
from ledger.contract.archive.segment import (
    END,
    Head,
    Index,
    SegmentBuilder,
    frame,
    index_bytes,
    read_head,
    read_index,
)
from ledger.contract.dead_letter import Record


def built() -> tuple[bytes, Index]:
    chance = Random(3)
    builder = SegmentBuilder(Head("payments", 0, 0, 0, None))
    builder.add([Record("payments", 0, offset, None, chance.randbytes(500_000)) for offset in range(3)])
    builder.add([Record("payments", 0, offset, b"k", chance.randbytes(500_000)) for offset in (5, 6, 9, 10)])
    builder.skip_to(12)
    return builder.close()


SEGMENT, INDEX = built()


def with_index(index: Index) -> bytes:
    """Put another index into the segment, with its checksum."""
    framed = frame(msgspec.json.encode(index))
    body = SEGMENT[: len(SEGMENT) - index_bytes(SEGMENT, len(SEGMENT))]
    return body + framed + len(framed).to_bytes(4, "big") + END


def block(number: int, **changes: Any) -> dict[str, Any]:
    blocks = list(INDEX.blocks)
    blocks[number] = msgspec.structs.replace(blocks[number], **changes)
    return {"blocks": blocks}


def test_what_was_built_is_whole() -> None:
    assert examine(SEGMENT).faults == []
    assert (read_head(SEGMENT).first, read_index(SEGMENT, len(SEGMENT))) == (0, INDEX)
    assert [(hole.first, hole.next, hole.kind) for hole in INDEX.holes] == [
        (3, 5, "empty"),
        (7, 9, "empty"),
        (11, 12, "empty"),
    ]
    assert examine(with_index(INDEX)).faults == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (block(0, first=1), "the block holds other offsets than the index says"),
        (block(1, last=7), "the block holds other offsets than the index says"),
        (block(1, records=9), "the block holds other offsets than the index says"),
        (block(0, checksum="0" * 32), "the block is another than the index says"),
        ({"blocks": INDEX.blocks[1:]}, "the index leaves bytes out"),
        ({"blocks": INDEX.blocks[:-1]}, "the index leaves bytes out"),
        ({"next": 20}, "the index cannot be: offset 12 is followed by 20"),
        ({"holes": INDEX.holes[:-1]}, "the index cannot be: offset 11 is followed by 12"),
        ({"records": 8}, "the index cannot be: the records of its blocks are not as many as it says"),
    ],
)
def test_index_that_says_other_things_is_found(changes: dict[str, Any], said: str) -> None:
    faults = [each.what for each in examine(with_index(msgspec.structs.replace(INDEX, **changes))).faults]
    assert said in faults


def test_offsets_only_go_forward() -> None:
    builder = SegmentBuilder(Head("payments", 0, 0, 5, None))
    with pytest.raises(ValueError, match="offset 4 comes after 4"):
        builder.add([Record("payments", 0, 4, None, b"")])


@pytest.mark.parametrize(
    "body", [b"", b"x", b"LDGRSEG1", b"\x00" * 100, END, b"LDGRSEG1" + b"\xff" * 50 + END]
)
def test_what_is_no_segment_is_told_and_stops_nobody(body: bytes) -> None:
    assert examine(body).faults != []
