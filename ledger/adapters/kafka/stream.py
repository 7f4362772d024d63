"""A topic read without a group: for audits, which must not move anybody's position."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from ledger.contract.dead_letter import Record

FETCH_MS = 500
RUN_RECORDS_MAX = 5000


class KafkaStream:
    """A Stream over one topic; transactions that were aborted are not in it."""

    def __init__(self, consumer: Any, topic: str) -> None:
        self._consumer = consumer
        self.topic = topic

    @classmethod
    @asynccontextmanager
    async def open(cls, bootstrap: str, topic: str) -> AsyncIterator["KafkaStream"]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        await consumer.start()
        try:
            yield cls(consumer, topic)
        finally:
            await consumer.stop()

    async def bounds(self) -> dict[int, tuple[int, int]]:
        places = await self._places()
        first = await self._consumer.beginning_offsets(places)
        end = await self._consumer.end_offsets(places)
        return {place.partition: (first[place], end[place]) for place in places}

    async def _places(self) -> list[TopicPartition]:
        numbers = await _partitions_for(self._consumer, self.topic)
        return [TopicPartition(self.topic, number) for number in sorted(numbers)]

    async def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """Read up to `end`; a topic may end in markers, so the position counts, not the last record."""
        place = TopicPartition(self.topic, partition)
        self._consumer.assign([place])
        self._consumer.seek(place, first)
        while await self._consumer.position(place) < end:
            got = await self._consumer.getmany(place, timeout_ms=FETCH_MS, max_records=RUN_RECORDS_MAX)
            records = [_record(each) for each in got.get(place, ()) if each.offset < end]
            if records:
                yield records


async def _partitions_for(consumer: Any, topic: str) -> set[int]:
    # A topic that was not asked for yet is looked up first.
    await consumer._client.force_metadata_update()
    found = consumer.partitions_for_topic(topic)
    if found is None:
        await consumer._client.add_topic(topic)
        found = consumer.partitions_for_topic(topic)
    return found or set()


def _record(record: ConsumerRecord[Any, Any]) -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        tuple(record.headers),
        record.timestamp,
    )
