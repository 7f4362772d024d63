"""Whatever is changed in an archive is found, and named with its segment, its block, its bytes and its offsets."""

from random import Random

import pytest

from ledger.adapters.memory.objects import MemoryObjects
from ledger.application.archive_ports import DamagedArchiveError
from ledger.application.archived_topic import ArchivedTopic
from ledger.application.verify_archive import (
    ArchiveFault,
    ArchiveVerdict,
    VerifyArchive,
    Witness,
    list_archive,
    topics_of,
)
from ledger.contract.archive.segment import read_index
from ledger.contract.dead_letter import Record
from tests.archives import TOPIC, MemoryTopic, archived, everything, odd_records


@pytest.fixture
async def topic() -> MemoryTopic:
    topic = MemoryTopic()
    topic.add(odd_records(Random(5), 200))
    topic.add(odd_records(Random(6), 100, partition=1))
    return topic


@pytest.fixture
async def objects(topic: MemoryTopic) -> MemoryObjects:
    objects = MemoryObjects()
    await archived(topic, objects, segment_bytes=12_000)
    return objects


async def verdict(objects: MemoryObjects, *witnesses: Witness) -> ArchiveVerdict:
    return await VerifyArchive(objects, witnesses=witnesses)([TOPIC])


async def faults(objects: MemoryObjects, *witnesses: Witness) -> list[ArchiveFault]:
    return list((await verdict(objects, *witnesses)).faults)


def segments(objects: MemoryObjects, partition: int = 0) -> list[str]:
    return sorted(name for name in objects.contents if f"/segments/{partition:05d}/" in name)


def parts(objects: MemoryObjects) -> list[str]:
    return sorted(name for name in objects.contents if "/manifests/" in name)


def change(objects: MemoryObjects, name: str, at: int) -> None:
    body = bytearray(objects.contents[name])
    body[at] ^= 0x41
    objects.contents[name] = bytes(body)


async def test_archive_that_was_left_alone_is_whole(objects: MemoryObjects, topic: MemoryTopic) -> None:
    found = await verdict(objects)
    assert (found.ok, [each.records for each in found.partitions]) == (True, [200, 100])
    assert found.partitions == await list_archive(objects, await topics_of(objects))
    assert len(segments(objects)) > 3


async def test_any_changed_byte_of_a_segment_is_found(objects: MemoryObjects) -> None:
    name = segments(objects)[1]
    body = objects.contents[name]
    for at in [*Random(2).sample(range(len(body)), 150), 0, len(body) - 1, len(body) - 9, 9, 30]:
        change(objects, name, at)
        found = [each for each in await faults(objects) if each.object == name]
        assert any(each.bytes and each.bytes[0] <= at < each.bytes[1] for each in found), at
        objects.contents[name] = body
    assert await faults(objects) == []


async def test_changed_block_is_named_with_its_offsets(objects: MemoryObjects) -> None:
    name = segments(objects)[2]
    [block] = read_index(objects.contents[name], len(objects.contents[name])).blocks
    change(objects, name, block.at + 100)
    assert await faults(objects) == [
        ArchiveFault(
            TOPIC,
            0,
            "the block does not match its checksum",
            name,
            0,
            (block.at, block.at + block.bytes),
            (block.first, block.last + 1),
        )
    ]


async def test_block_among_many_is_named() -> None:
    objects, topic, chance = MemoryObjects(), MemoryTopic(), Random(9)
    topic.add([Record(TOPIC, 0, offset, None, chance.randbytes(400_000)) for offset in range(20)])
    await archived(topic, objects, segment_bytes=32 * 1024**2)
    [name] = segments(objects)
    block = read_index(objects.contents[name], len(objects.contents[name])).blocks[4]
    change(objects, name, block.at + 5000)
    assert [(each.block, each.offsets) for each in await faults(objects)] == [(4, (12, 15))]


async def test_swapped_blocks_are_found() -> None:
    objects, topic, chance = MemoryObjects(), MemoryTopic(), Random(9)
    topic.add([Record(TOPIC, 0, offset, None, chance.randbytes(400_000)) for offset in range(12)])
    await archived(topic, objects, segment_bytes=32 * 1024**2)
    [name] = segments(objects)
    body = objects.contents[name]
    one, two = read_index(body, len(body)).blocks[1:3]
    swapped = body[two.at : two.at + two.bytes] + body[one.at : one.at + one.bytes]
    objects.contents[name] = body[: one.at] + swapped + body[two.at + two.bytes :]
    assert {each.block for each in await faults(objects)} == {1, 2}


@pytest.mark.parametrize("cut", [1, 12, 500, 2000])
async def test_segment_that_was_cut_is_found(objects: MemoryObjects, cut: int) -> None:
    name = segments(objects)[1]
    objects.contents[name] = objects.contents[name][:-cut]
    assert {each.object for each in await faults(objects)} == {name}


@pytest.mark.parametrize("number", [0, 1, 2, -1])
async def test_missing_segment_is_named_with_its_offsets(objects: MemoryObjects, number: int) -> None:
    name = segments(objects)[number]
    first = int(name[-28:-8])
    end = read_index(objects.contents[name], len(objects.contents[name])).next
    del objects.contents[name]
    [fault] = await faults(objects)
    assert (fault.what, fault.object, fault.offsets) == ("it is missing", name, (first, end))


async def test_segment_that_is_gone_with_its_line_is_named_with_its_offsets(objects: MemoryObjects) -> None:
    name = segments(objects)[1]
    first, end = int(name[-28:-8]), int(segments(objects)[2][-28:-8])
    del objects.contents[name]
    forget(objects, 1)
    assert [(each.what, each.offsets) for each in await faults(objects)] == [
        ("it does not join on to the segment before it", (first, end))
    ]


async def test_segment_that_the_manifest_leaves_out_is_found(objects: MemoryObjects) -> None:
    forget(objects, 1)
    assert [each.what for each in await faults(objects)] == ["the manifest does not list it"]


def forget(objects: MemoryObjects, number: int) -> None:
    """Take a line out of the manifest."""
    lines = objects.contents[parts(objects)[0]].splitlines(keepends=True)
    objects.contents[parts(objects)[0]] = b"".join(lines[:number] + lines[number + 1 :])


async def test_swapped_segments_are_found(objects: MemoryObjects) -> None:
    one, two = segments(objects)[1:3]
    contents = objects.contents
    contents[one], contents[two] = contents[two], contents[one]
    found = await faults(objects)
    assert {each.object for each in found} == {one, two}
    assert all("it holds the segment of payments/0 from offset" in each.what for each in found)


async def test_segment_of_another_partition_is_found(objects: MemoryObjects) -> None:
    objects.contents[segments(objects)[0]] = objects.contents[segments(objects, 1)[0]]
    assert (await faults(objects))[0].what == "it holds the segment of payments/1 from offset 0"


async def test_segment_that_was_written_anew_breaks_the_chain(
    objects: MemoryObjects, topic: MemoryTopic
) -> None:
    """Whoever changes a record and mends every checksum of its segment meets the next segment, and the manifest."""
    name = segments(objects)[0]
    end = read_index(objects.contents[name], len(objects.contents[name])).next
    forged, other = MemoryTopic(), MemoryObjects()
    records = [each for each in topic.records[0] if each.offset < end]
    forged.add([*records[:-1], Record(TOPIC, 0, records[-1].offset, b"k", b"forged")], end)
    await archived(forged, other, segment_bytes=10**9)
    objects.contents[name] = other.contents[name]
    assert {each.what for each in await faults(objects)} == {
        "it is not the segment that the manifest lists",
        "it was written after another segment than the one before it",
    }


async def test_changed_manifest_is_found(objects: MemoryObjects) -> None:
    name = parts(objects)[0]
    body = objects.contents[name]
    for at in Random(3).sample(range(len(body)), 100):
        objects.contents[name] = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        assert await faults(objects) != [], body[max(0, at - 20) : at + 1]
    objects.contents[name] = body


def rearrange(objects: MemoryObjects, numbers: list[int]) -> None:
    """Write the manifest anew, of these of its lines."""
    lines = objects.contents[parts(objects)[0]].splitlines(keepends=True)
    objects.contents[parts(objects)[0]] = b"".join(lines[number] for number in numbers)


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ([0, 0, 1, 2, 3], ["line 2 lists segment 0 after segment 0"]),
        ([0, 2, 1, 3], ["line 3 lists segment 1 after segment 2"]),
        (
            [1, 0, 2, 3],
            [
                "it does not begin with the segment that it is named after",
                "line 2 lists segment 0 after segment 1",
            ],
        ),
    ],
)
async def test_lines_twice_or_out_of_order_are_found(
    objects: MemoryObjects, numbers: list[int], found: list[str]
) -> None:
    rearrange(objects, [*numbers, *range(4, len(segments(objects)))])
    assert [(each.what, each.object) for each in await faults(objects)] == [
        (what, parts(objects)[0]) for what in found
    ]


async def test_part_of_the_manifest_that_stands_there_twice_is_found(objects: MemoryObjects) -> None:
    name = parts(objects)[0]
    objects.contents[name.replace("/000000-", "/000001-")] = objects.contents[name]
    found = await faults(objects)
    assert len(found) == len(segments(objects))
    assert {each.object for each in found} == {name.replace("/000000-", "/000001-")}


async def test_last_line_that_is_gone_is_told(objects: MemoryObjects) -> None:
    rearrange(objects, list(range(len(segments(objects)) - 1)))
    found = await verdict(objects)
    assert (found.ok, [each.unlisted for each in found.partitions]) == (True, [1, 0])
    assert found.partitions == await list_archive(objects, [TOPIC])


async def test_last_lines_that_are_gone_are_found(objects: MemoryObjects) -> None:
    rearrange(objects, list(range(len(segments(objects)) - 2)))
    [fault] = await faults(objects)
    assert (fault.what, fault.object) == ("the manifest does not list it", segments(objects)[-2])
    assert [each.unlisted for each in (await verdict(objects)).partitions] == [2, 0]


async def test_manifest_that_is_gone_is_found(objects: MemoryObjects) -> None:
    del objects.contents[parts(objects)[0]]
    found = await faults(objects)
    assert {each.what for each in found} == {"the manifest does not list it"}
    assert [each.object for each in found] == segments(objects)[:-1]


async def test_manifest_that_is_gone_is_no_loss(objects: MemoryObjects, topic: MemoryTopic) -> None:
    for name in parts(objects):
        del objects.contents[name]
    assert await everything(ArchivedTopic(objects, TOPIC)) == topic.records[0]
    await archived(topic, objects)
    assert (await verdict(objects)).ok


async def test_witness_sees_that_the_end_was_taken_away(objects: MemoryObjects) -> None:
    [before, other] = await list_archive(objects, [TOPIC])
    witnesses = [Witness(TOPIC, each.partition, each.next_offset, each.head) for each in (before, other)]
    assert await faults(objects, *witnesses) == []
    del objects.contents[segments(objects)[-1]]
    lines = objects.contents[parts(objects)[0]].splitlines(keepends=True)
    objects.contents[parts(objects)[0]] = b"".join(lines[:-1])
    assert await faults(objects) == []
    [fault] = await faults(objects, *witnesses)
    assert fault.what.startswith(f"no segment ends at offset {before.next_offset} any more")


async def test_witness_sees_that_all_was_written_anew(objects: MemoryObjects) -> None:
    [before, _] = await list_archive(objects, [TOPIC])
    seen = Witness(TOPIC, 0, before.next_offset, "0" * 64)
    assert [each.what for each in await faults(objects, seen)] == [
        "it is not the segment that the witness saw"
    ]
    [fault] = await faults(objects, Witness(TOPIC, 7, 1, "0"))
    assert (fault.partition, fault.object) == (7, f"{TOPIC}/7")


async def test_topic_of_which_there_is_nothing_is_a_fault_of_its_own(objects: MemoryObjects) -> None:
    found = await VerifyArchive(objects)([TOPIC, "none"])
    assert [(each.topic, each.partition) for each in found.faults] == [("none", None)]


async def test_damage_stops_whoever_reads(objects: MemoryObjects) -> None:
    change(objects, segments(objects)[1], 400)
    with pytest.raises(DamagedArchiveError, match="checksum"):
        await everything(ArchivedTopic(objects, TOPIC))


async def test_missing_segment_stops_whoever_reads(objects: MemoryObjects) -> None:
    del objects.contents[segments(objects)[1]]
    with pytest.raises(DamagedArchiveError, match="it has gone"):
        await everything(ArchivedTopic(objects, TOPIC))
