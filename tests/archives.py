"""Helpers for tests of the archive: a topic in memory, records of every kind, and an archive of it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from random import Random

from ledger.application.archive_ports import Objects
from ledger.application.archive_topic import ArchiveTopic
from ledger.contract.dead_letter import Header, Record
from ledger.observability.signals import Signals

TOPIC = "payments"
RUN_RECORDS = 7


class MemoryTopic:
    """A RecordSource in memory, with holes where offsets are left out, and a log that can lose its beginning."""

    def __init__(self, topic: str = TOPIC) -> None:
        self.topic = topic
        self.records: dict[int, list[Record]] = {}
        self.firsts: dict[int, int] = {}
        self.ends: dict[int, int] = {}

    def add(self, records: Sequence[Record], end: int | None = None) -> None:
        for record in records:
            self.records.setdefault(record.partition, []).append(record)
            self.firsts.setdefault(record.partition, 0)
            self.ends[record.partition] = record.offset + 1
        if end is not None:
            self.ends[records[-1].partition] = end

    def expire(self, partition: int, before: int) -> None:
        """Let retention delete what is before an offset."""
        self.firsts[partition] = before
        self.records[partition] = [each for each in self.records[partition] if each.offset >= before]

    async def bounds(self) -> Mapping[int, tuple[int, int]]:
        return {partition: (self.firsts[partition], end) for partition, end in self.ends.items()}

    async def offsets_at(self, time_ms: int) -> Mapping[int, int]:
        return {
            partition: next(
                (each.offset for each in records if (each.timestamp_ms or 0) >= time_ms), self.ends[partition]
            )
            for partition, records in self.records.items()
        }

    async def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[Record]]:
        found = [each for each in self.records[partition] if first <= each.offset < end]
        for begin in range(0, len(found), RUN_RECORDS):
            yield found[begin : begin + RUN_RECORDS]


def odd_records(chance: Random, count: int, partition: int = 0, first: int = 0) -> list[Record]:
    """Records of every kind: tombstones, no keys, odd headers, holes between them, times that go back."""
    records, offset = [], first
    for _ in range(count):
        offset += chance.choice([0, 0, 0, 1, 5])
        value = chance.choice([None, b"", chance.randbytes(chance.randint(1, 3000)), b"{}"])
        key = chance.choice([None, b"", b"acme/ann", b"\xff\x00"])
        headers: tuple[Header, ...] = chance.choice(
            [
                (),
                (("content-type", b"json"), ("empty", None)),
                (("\udcff\udc80", b"\xff"), ("a", b""), ("a", b"2")),
            ]
        )
        time_ms = 1_700_000_000_000 + offset * 10 + chance.randint(-30, 30)
        records.append(Record(TOPIC, partition, offset, key, value, headers, time_ms))
        offset += 1
    return records


async def archived(topic: MemoryTopic, objects: Objects, segment_bytes: int = 20_000) -> ArchiveTopic:
    """Archive all of a topic, in small segments."""
    archive = ArchiveTopic(topic, objects, Signals(), segment_bytes=segment_bytes)
    await archive.catch_up(close=True)
    return archive


async def everything(source: object, partition: int = 0) -> list[Record]:
    """Read a partition of a source whole."""
    first, end = (await source.bounds())[partition]  # type: ignore[attr-defined]
    return [each async for run in source.read(partition, first, end) for each in run]  # type: ignore[attr-defined]
