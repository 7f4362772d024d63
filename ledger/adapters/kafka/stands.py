"""Where topics and groups stand, asked of Kafka again and again over one connection."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.kafka.stream import places_of
from ledger.application.pipeline import PartitionStand, StreamAskError, StreamStand

ANSWER_S = 3.0
FIRST_MS = 400
"""What is asked for the oldest record that waits is waited for this long."""
WAITING_MAX = 8
"""Of so many partitions at most, those with the most records that wait, the oldest is looked for."""


class KafkaStands:
    """A StreamWatch; connects at the first look, and anew after a fault."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin: Any = None
        self._consumer: Any = None
        self._one = asyncio.Lock()

    async def look(self, topic: str, group: str) -> StreamStand:
        async with self._one:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._connect()
                    return await self._look(topic, group)
            except (KafkaError, OSError) as fault:  # TimeoutError is an OSError
                await self.close()
                raise StreamAskError(f"{type(fault).__name__}: {fault}".removesuffix(": ")) from fault

    async def close(self) -> None:
        """Let go of the connections."""
        admin, consumer, self._admin, self._consumer = self._admin, self._consumer, None, None
        for each in (consumer and consumer.stop, admin and admin.close):
            if each is not None:
                await each()

    async def _connect(self) -> None:
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
            await self._admin.start()
        if self._consumer is None:
            self._consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=1,  # a batch comes whole, and no second one
                fetch_max_wait_ms=50,
            )
            await self._consumer.start()

    async def _look(self, topic: str, group: str) -> StreamStand:
        outside = KafkaGroup(self._admin, self._bootstrap, group)
        committed = await outside.committed(topic)
        places = await places_of(self._consumer, topic)
        begins = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        stands = [
            PartitionStand(place.partition, begins[place], ends[place], committed.get(place.partition))
            for place in sorted(places)
        ]
        oldest = await self._oldest(topic, stands)
        return StreamStand(topic, group, await outside.members(), stands, oldest)

    async def _oldest(self, topic: str, stands: Sequence[PartitionStand]) -> datetime | None:
        """Find when the oldest record was written that waits; markers of transactions have no time."""
        waiting = sorted((each for each in stands if each.lag), key=lambda each: -each.lag)[:WAITING_MAX]
        if not waiting:
            return None
        self._consumer.assign([TopicPartition(topic, each.partition) for each in waiting])
        for each in waiting:
            self._consumer.seek(TopicPartition(topic, each.partition), max(each.begin, each.committed or 0))
        found = await self._consumer.getmany(timeout_ms=FIRST_MS)
        first = min((records[0].timestamp for records in found.values() if records), default=None)
        return None if first is None else datetime.fromtimestamp(first / 1000, UTC)
