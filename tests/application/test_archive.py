"""An archive gives back what the topic held, byte for byte, whoever wrote it and whenever it stopped."""

import asyncio
from random import Random

import pytest

from ledger.adapters.memory.objects import MemoryObjects
from ledger.application.archive_ports import ArchiveError, NotArchivedError, ObjectsAwayError
from ledger.application.archive_topic import ArchiveTopic
from ledger.application.archived_topic import ArchivedTopic
from ledger.application.verify_archive import VerifyArchive
from ledger.contract.archive import manifest as manifests
from ledger.contract.dead_letter import Record
from ledger.observability.signals import Signals
from tests.archives import TOPIC, MemoryTopic, archived, everything, odd_records
from tests.fakes import RememberedSignals


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


def topic_of(*records: Record) -> MemoryTopic:
    topic = MemoryTopic()
    topic.add(records)
    return topic


def plain(offsets: range, value: bytes = b"{}") -> list[Record]:
    return [Record(TOPIC, 0, offset, None, value, (), 1000 + offset) for offset in offsets]


def segments(objects: MemoryObjects) -> list[str]:
    return sorted(name for name in objects.contents if "/segments/" in name)


@pytest.mark.parametrize("seed", range(5))
async def test_records_come_back_byte_for_byte(objects: MemoryObjects, seed: int) -> None:
    records = odd_records(Random(seed), 200)
    await archived(topic_of(*records), objects)
    assert len(segments(objects)) > 2
    assert await everything(ArchivedTopic(objects, TOPIC)) == records


async def test_large_records_are_parted_into_blocks(objects: MemoryObjects) -> None:
    chance = Random(1)
    records = [Record(TOPIC, 0, offset, None, chance.randbytes(300_000), (), 1) for offset in range(40)]
    await archived(topic_of(*records), objects, segment_bytes=32 * 1024**2)
    assert len(segments(objects)) == 1
    assert await everything(ArchivedTopic(objects, TOPIC)) == records


@pytest.mark.parametrize("seed", range(5))
async def test_any_stretch_can_be_read(objects: MemoryObjects, seed: int) -> None:
    chance = Random(seed)
    topic = topic_of(*odd_records(chance, 150))
    await archived(topic, objects)
    source = ArchivedTopic(objects, TOPIC)
    for _ in range(20):
        first, end = sorted(chance.sample(range(topic.ends[0] + 1), 2))
        expected = [each for each in topic.records[0] if first <= each.offset < end]
        assert [each async for run in source.read(0, first, end) for each in run] == expected


@pytest.mark.parametrize("lines_a_part", [1, 2, 1000])
async def test_any_time_finds_the_first_record_at_or_after_it(
    objects: MemoryObjects, lines_a_part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.application.archive_manifest.LINES_A_PART", lines_a_part)
    topic = topic_of(*odd_records(Random(4), 150))
    await archived(topic, objects)
    source = ArchivedTopic(objects, TOPIC)
    for time_ms in {each.timestamp_ms for each in topic.records[0]} | {0, 2**50}:
        assert await source.offsets_at(time_ms or 0) == await topic.offsets_at(time_ms or 0)


async def test_archive_goes_on_where_it_ended(objects: MemoryObjects) -> None:
    topic = topic_of(*plain(range(10)))
    await archived(topic, objects)
    topic.add(plain(range(10, 15)))
    again = await archived(topic, objects)
    assert again.written.records == 5
    assert await everything(ArchivedTopic(objects, TOPIC)) == topic.records[0]


async def test_nothing_new_writes_nothing(objects: MemoryObjects) -> None:
    topic = topic_of(*plain(range(10)))
    await archived(topic, objects)
    before = dict(objects.contents)
    assert (await archived(topic, objects)).written.segments == 0
    assert objects.contents == before


async def test_every_partition_is_archived(objects: MemoryObjects) -> None:
    topic = MemoryTopic()
    for partition in range(3):
        topic.add(odd_records(Random(partition), 30, partition))
    await archived(topic, objects)
    source = ArchivedTopic(objects, TOPIC)
    assert {number: end for number, (_, end) in (await source.bounds()).items()} == topic.ends
    assert [await everything(source, number) for number in range(3)] == [*topic.records.values()]


async def test_offsets_without_records_are_kept_as_holes(objects: MemoryObjects) -> None:
    topic = topic_of(*plain(range(3)), *plain(range(7, 9)))
    topic.ends[0] = 12
    await archived(topic, objects)
    assert await ArchivedTopic(objects, TOPIC).bounds() == {0: (0, 12)}


async def test_records_that_expired_first_are_told_and_counted(objects: MemoryObjects) -> None:
    topic, signals = topic_of(*plain(range(10))), RememberedSignals()
    await archived(topic, objects)
    topic.add(plain(range(10, 30)))
    topic.expire(0, 18)
    archive = ArchiveTopic(topic, objects, signals)
    await archive.catch_up(close=True)
    assert archive.written.expired == 8
    told = [facts for name, facts in signals.emitted if name == "archive.records_expired"]
    assert told == [{"topic": TOPIC, "partition": 0, "first": 10, "lost": 8}]


async def test_all_that_expired_while_a_segment_was_gathered_is_told_and_counted(
    objects: MemoryObjects,
) -> None:
    topic, signals = topic_of(*plain(range(10))), RememberedSignals()
    archive = ArchiveTopic(topic, objects, signals)
    await archive.catch_up(close=False)
    topic.add(plain(range(10, 20)))
    topic.expire(0, 20)
    await archive.catch_up(close=True)
    assert archive.written.expired == 10
    told = [facts for name, facts in signals.emitted if name == "archive.records_expired"]
    assert told == [{"topic": TOPIC, "partition": 0, "first": 10, "lost": 10}]
    assert await refused(objects, 0, 20) == "10 to 19"


@pytest.mark.parametrize(
    ("first", "end", "lacks"),
    [(3, 10, None), (3, 12, "10 to 17"), (17, 25, "10 to 17"), (18, 30, None), (20, 31, "30 to 30")],
)
async def test_what_is_read_whole_is_refused_where_the_archive_lacks_some(
    objects: MemoryObjects, first: int, end: int, lacks: str | None
) -> None:
    topic = topic_of(*plain(range(10)))
    await archived(topic, objects)
    topic.add(plain(range(10, 30)))
    topic.expire(0, 18)
    await archived(topic, objects)
    assert await refused(objects, first, end) == lacks
    assert [each async for run in ArchivedTopic(objects, TOPIC).read(0, first, end) for each in run] != []


@pytest.mark.parametrize(("gone", "lacks"), [(0, "0 to 9"), (2, "20 to 29")])
async def test_what_is_read_whole_is_refused_where_segments_have_gone(
    objects: MemoryObjects, gone: int, lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.application.archive_manifest.LINES_A_PART", 1)
    topic = MemoryTopic()
    for begin in (0, 10, 20):
        topic.add(plain(range(begin, begin + 10)))
        await archived(topic, objects)
    parts = sorted(each for each in objects.contents if "/manifests/" in each)
    del objects.contents[segments(objects)[gone]], objects.contents[parts[gone]]
    assert await refused(objects, 0, 30) == lacks
    assert await refused(objects, 10, 20) is None


async def refused(objects: MemoryObjects, first: int, end: int) -> str | None:
    """Read a stretch whole; says which offsets the archive is said to lack."""
    try:
        read = [
            each
            async for run in ArchivedTopic(objects, TOPIC, whole=True).read(0, first, end)
            for each in run
        ]
    except NotArchivedError as error:
        return str(error).partition("lacks offsets ")[2].partition(",")[0]
    assert [each.offset for each in read] == [*range(first, end)]
    return None


async def test_holes_without_records_are_read_over(objects: MemoryObjects) -> None:
    topic = topic_of(*plain(range(3)), *plain(range(7, 9)))
    topic.ends[0] = 12
    await archived(topic, objects)
    assert len(await everything(ArchivedTopic(objects, TOPIC, whole=True))) == 5


async def test_log_that_begins_late_is_no_loss(objects: MemoryObjects) -> None:
    topic = topic_of(*plain(range(20)))
    topic.expire(0, 5)
    assert (await archived(topic, objects)).written.expired == 0
    assert await ArchivedTopic(objects, TOPIC).bounds() == {0: (5, 20)}


# Two at once, and one that dies


async def test_two_who_archive_at_once_write_each_offset_once(objects: MemoryObjects) -> None:
    topic, chance = MemoryTopic(), Random(3)
    topic.add(odd_records(chance, 20))
    small, large = (ArchiveTopic(topic, objects, Signals(), segment_bytes=size) for size in (3_000, 15_000))
    for _ in range(8):
        for archive in chance.sample([small, large], 2):
            topic.add(odd_records(chance, 15, first=topic.ends[0]))
            await archive.catch_up(close=chance.random() < 0.5)
    await archived(topic, objects)
    assert await everything(ArchivedTopic(objects, TOPIC)) == topic.records[0]
    assert small.written.records + large.written.records <= len(topic.records[0])


class Slow(MemoryObjects):
    """Objects in a store where others come in between."""

    def __init__(self, contents: dict[str, bytes], chance: Random) -> None:
        super().__init__()
        self.contents = contents
        self.chance = chance

    async def put_new(self, name: str, body: bytes) -> bool:
        await self._wait()
        return await super().put_new(name, body)

    async def put(self, name: str, body: bytes) -> None:
        await self._wait()
        await super().put(name, body)

    async def get(self, name: str) -> bytes | None:
        await self._wait()
        return await super().get(name)

    async def _wait(self) -> None:
        for _ in range(self.chance.randint(0, 30)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(15))
async def test_three_who_come_between_each_other_leave_a_whole_archive(
    objects: MemoryObjects, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.application.archive_manifest.LINES_A_PART", 3)
    chance = Random(seed)
    topic = topic_of(*odd_records(chance, 300))
    slow = Slow(objects.contents, chance)
    await asyncio.gather(*(archived(topic, slow, segment_bytes=size) for size in (4_000, 7_000, 15_000)))
    verdict = await VerifyArchive(objects)([TOPIC])
    assert (verdict.faults, verdict.partitions[0].records) == ([], 300)
    assert await everything(ArchivedTopic(objects, TOPIC)) == topic.records[0]


@pytest.mark.parametrize("part", [-2, -1])
async def test_older_state_of_the_manifest_is_read_over_and_mended(
    objects: MemoryObjects, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.application.archive_manifest.LINES_A_PART", 4)
    topic = topic_of(*odd_records(Random(1), 320))
    await archived(topic, objects, segment_bytes=10_000)
    name = sorted(each for each in objects.contents if "/manifests/" in each)[part]
    lines = objects.contents[name].splitlines(keepends=True)
    objects.contents[name] = b"".join(lines[:1])
    assert len(lines) > 1
    assert await everything(ArchivedTopic(objects, TOPIC)) == topic.records[0]
    await archived(topic, objects)
    assert objects.contents[name] == b"".join(lines)


class Dying(MemoryObjects):
    """Objects whose owner dies after so many writes."""

    def __init__(self, contents: dict[str, bytes], writes: int) -> None:
        super().__init__()
        self.contents = contents
        self.writes = writes

    async def put_new(self, name: str, body: bytes) -> bool:
        self._count()
        return await super().put_new(name, body)

    async def put(self, name: str, body: bytes) -> None:
        self._count()
        await super().put(name, body)

    def _count(self) -> None:
        if self.writes == 0:
            raise ObjectsAwayError("it died")
        self.writes -= 1


@pytest.mark.parametrize("writes", range(6))
async def test_whenever_it_dies_the_next_goes_on(
    objects: MemoryObjects, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.application.archive_manifest.LINES_A_PART", 2)
    topic = topic_of(*odd_records(Random(8), 120))
    with pytest.raises(ObjectsAwayError):
        await archived(topic, Dying(objects.contents, writes))
    unfinished = ArchivedTopic(objects, TOPIC)
    if writes:
        assert await everything(unfinished) == topic.records[0][: len(await everything(unfinished))] != []
    await archived(topic, objects)
    assert await everything(ArchivedTopic(objects, TOPIC)) == topic.records[0]
    parts = [body for name, body in objects.contents.items() if "/manifests/" in name]
    listed = [line.first for part in parts for line in manifests.read_part(part)]
    assert len(listed) == len(set(listed)) == len(segments(objects))


async def test_one_that_was_away_goes_on_with_what_it_has(objects: MemoryObjects) -> None:
    topic, away = topic_of(*plain(range(10))), Dying(objects.contents, 1)
    archive = ArchiveTopic(topic, away, Signals())
    with pytest.raises(ObjectsAwayError):
        await archive.catch_up(close=True)
    topic.add(plain(range(10, 20)))
    away.writes = 100
    await archive.catch_up(close=True)
    assert await everything(ArchivedTopic(objects, TOPIC)) == topic.records[0]


async def test_segments_are_closed_by_age(objects: MemoryObjects) -> None:
    topic, now = topic_of(*plain(range(10))), [0.0]
    archive = ArchiveTopic(topic, objects, Signals(), segment_s=60, now=lambda: now[0])
    await archive.catch_up(close=False)
    assert segments(objects) == []
    now[0] = 61
    await archive.catch_up(close=False)
    assert len(segments(objects)) == 1


# Another topic of the same name


@pytest.mark.parametrize("count", [3, 10, 30])
async def test_topic_that_was_made_anew_is_refused(objects: MemoryObjects, count: int) -> None:
    await archived(topic_of(*plain(range(10))), objects)
    before = dict(objects.contents)
    with pytest.raises(ArchiveError, match="made anew"):
        await archived(topic_of(*plain(range(count), b"other")), objects)
    assert objects.contents == before


async def test_archive_whose_end_is_damaged_is_not_gone_on_with(objects: MemoryObjects) -> None:
    topic = topic_of(*plain(range(10)))
    await archived(topic, objects)
    [name] = segments(objects)
    objects.contents[name] = objects.contents[name][:-40] + b"x" + objects.contents[name][-39:]
    topic.add(plain(range(10, 12)))
    with pytest.raises(ArchiveError, match="verify"):
        await archived(topic, objects)


async def test_segment_of_another_chain_is_not_taken_over(objects: MemoryObjects) -> None:
    topic, other = topic_of(*plain(range(10))), MemoryObjects()
    archive = ArchiveTopic(topic, objects, Signals())
    await archive.catch_up(close=True)
    topic.add(plain(range(10, 12)))
    await archived(topic_of(*plain(range(10), b"other")), other)
    await archived(topic_of(*plain(range(10), b"other"), *plain(range(10, 12))), other)
    objects.contents[segments(objects)[0][:-28] + f"{10:020d}.segment"] = other.contents[segments(other)[1]]
    with pytest.raises(ArchiveError, match="does not follow"):
        await archive.catch_up(close=True)
