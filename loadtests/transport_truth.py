"""What Kafka itself says about a topic and a group, and what the workers wrote down: the two are compared."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

Ranges = list[tuple[int, int]]


@dataclass(slots=True)
class Report:
    """What the workers did: ranges of handled offsets for each partition, records in all, signals."""

    ranges: dict[int, Ranges] = field(default_factory=dict)
    handled: int = 0
    signals: Counter[str] = field(default_factory=Counter)

    def contains(self, partition: int, offsets: Iterable[int]) -> list[int]:
        """Those of `offsets` (rising) that no worker handled."""
        ranges = iter(self.ranges.get(partition, []))
        first, last = next(ranges, (0, -1))
        missing = []
        for offset in offsets:
            while offset > last:
                following = next(ranges, None)
                if following is None:
                    first, last = offset + 1, offset + 1
                    break
                first, last = following
            if not first <= offset <= last:
                missing.append(offset)
        return missing

    def reached(self, partition: int) -> int:
        """The offset after the last that was handled."""
        ranges = self.ranges.get(partition)
        return ranges[-1][1] + 1 if ranges else 0


def read_notes(directory: Path) -> Report:
    """Put the notes of all workers together. A line cut short by a kill was not written whole: leave it."""
    report = Report()
    found: dict[int, Ranges] = {}
    for path in sorted(directory.glob("*.notes")):
        for line in path.read_text().splitlines():
            try:
                note = json.loads(line)
            except ValueError:
                continue
            if "signal" in note:
                report.signals[note["signal"]] += 1
            else:
                ranges = [(first, last) for first, last in note["handled"]]
                found.setdefault(note["partition"], []).extend(ranges)
                report.handled += sum(last - first + 1 for first, last in ranges)
    report.ranges = {partition: merged(ranges) for partition, ranges in found.items()}
    return report


def merged(ranges: Ranges) -> Ranges:
    """Sorted, and joined where they touch or overlap."""
    whole: Ranges = []
    for first, last in sorted(ranges):
        if whole and first <= whole[-1][1] + 1:
            whole[-1] = (whole[-1][0], max(last, whole[-1][1]))
        else:
            whole.append((first, last))
    return whole


async def make_topics(bootstrap: str, *topics: NewTopic) -> None:
    """Create topics, and wait until the broker knows their partitions' leaders."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics(list(topics))
        failed = [row for row in answer.topic_errors if row[1]]
        if failed:
            raise RuntimeError(f"topics could not be made: {failed}")
    finally:
        await admin.close()


async def committed_offsets(bootstrap: str, group: str, topic: str, partitions: int) -> dict[int, int]:
    """What the group has committed; partitions without a commit are left out."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        known = await _group_offsets(admin, group, places)
        return {place.partition: known[place].offset for place in places if known[place].offset >= 0}
    finally:
        await admin.close()


async def _group_offsets(
    admin: AIOKafkaAdminClient, group: str, places: list[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """A broker that has just started has no coordinators yet."""
    async with asyncio.timeout(30.0):
        while True:
            try:
                known: dict[TopicPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(
                    group, partitions=places
                )
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(0.2)
            else:
                return known


async def readable_offsets(bootstrap: str, topic: str, partitions: int) -> dict[int, list[int]]:
    """Every offset that a reader of committed transactions gets to see."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        found: dict[int, list[int]] = {place.partition: [] for place in places}
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                found[place.partition].extend(record.offset for record in records)
        return found
    finally:
        await consumer.stop()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether anything was lost, and at what price."""

    records: int
    handled: int
    lost: dict[int, list[int]]
    overcommitted: dict[int, list[int]]
    behind: dict[int, tuple[int | None, int]]
    signals: dict[str, int]

    @property
    def sound(self) -> bool:
        """Everything readable was handled, nothing was committed before it was, and the group is at the end."""
        return not (self.lost or self.overcommitted or self.behind)

    @property
    def duplicates(self) -> int:
        """How many more records were handled than there are."""
        return self.handled - self.records + sum(map(len, self.lost.values()))


async def judge(bootstrap: str, group: str, topic: str, partitions: int, notes: Path) -> Verdict:
    """Compare the notes, the topic and the group's offsets. Committed is read first: it must never lead."""
    committed = await committed_offsets(bootstrap, group, topic, partitions)
    report = await asyncio.to_thread(read_notes, notes)
    readable = await readable_offsets(bootstrap, topic, partitions)
    lost = {number: report.contains(number, offsets) for number, offsets in readable.items()}
    early = {
        number: [offset for offset in missing if offset < committed.get(number, 0)]
        for number, missing in lost.items()
    }
    behind = {
        number: (committed.get(number), offsets[-1] + 1)
        for number, offsets in readable.items()
        if offsets and committed.get(number, 0) <= offsets[-1]
    }
    return Verdict(
        sum(map(len, readable.values())),
        report.handled,
        _present(lost),
        _present(early),
        behind,
        dict(report.signals),
    )


def _present(found: dict[int, list[int]]) -> dict[int, Any]:
    return {number: offsets for number, offsets in found.items() if offsets}
