"""The topics as Kafka has them: read from their beginning to where they end now, a batch at a time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

AT_ONCE = 5_000
SILENT_TRIES_MAX = 60


class SilentLogError(RuntimeError):
    """Records that were written cannot be read."""


class NoTopicError(RuntimeError):
    """There is no topic of that name."""


class Log:
    """One reader without a group, of committed records."""

    def __init__(self, consumer: Any, admin: Any) -> None:
        self._consumer = consumer
        self._admin = admin

    @classmethod
    @asynccontextmanager
    async def open(cls, bootstrap: str) -> AsyncIterator["Log"]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, isolation_level="read_committed"
        )
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await consumer.start()
            yield cls(consumer, admin)
        finally:
            await consumer.stop()
            await admin.close()

    async def partitions(self, topic: str) -> list[TopicPartition]:
        """Name the partitions; raises NoTopicError."""
        [found] = await self._admin.describe_topics([topic])
        if found["error_code"]:
            raise NoTopicError(f"{topic}: error {found['error_code']}")
        return [
            TopicPartition(topic, number)
            for number in sorted(each["partition"] for each in found["partitions"])
        ]

    async def spans(self, topic: str) -> dict[int, tuple[int, int]]:
        """Give the first offset and the one after the last, by partition."""
        places = await self.partitions(topic)
        begins = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        return {place.partition: (begins[place], ends[place]) for place in places}

    async def read(self, topic: str) -> AsyncIterator[Sequence[Any]]:
        """Give all records of a topic, in the order of each partition; raises SilentLogError."""
        places = await self.partitions(topic)
        ends = await self._consumer.end_offsets(places)
        self._consumer.assign(places)
        await self._consumer.seek_to_beginning(*places)
        silent = 0
        while left := [place for place in places if await self._consumer.position(place) < ends[place]]:
            found = await self._consumer.getmany(*left, timeout_ms=500, max_records=AT_ONCE)
            silent = 0 if found else silent + 1
            if silent > SILENT_TRIES_MAX:
                raise SilentLogError(f"{topic}: partitions {[each.partition for each in left]} give nothing")
            for place, records in found.items():
                yield [record for record in records if record.offset < ends[place]]

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        """Give what a group has committed, by topic and partition."""
        found = await self._admin.list_consumer_group_offsets(group)
        return {(place.topic, place.partition): each.offset for place, each in found.items()}
