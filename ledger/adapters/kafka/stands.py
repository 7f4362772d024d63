"""Where topics and groups stand, and single records, asked of Kafka again and again over one connection."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import started
from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.kafka.records import read_all_records
from ledger.adapters.kafka.stream import places_of, record_of
from ledger.application.dead_letters import Place
from ledger.application.pipeline import PartitionStand, StreamAskError, StreamStand
from ledger.contract.dead_letter import Record

ANSWER_S = 3.0
PAUSE_S = 3.0
"""After a fault nobody is asked for so long: who watches is told at once."""
FIRST_MS = 400
"""What is asked for one record is waited for this long."""
OLDEST_S = 1.5
"""All partitions together have this long to give their oldest records that wait."""
ROUND_MS = 50
"""Where only markers of transactions are left, nothing comes: how far a partition was read is looked at this often."""


class KafkaStands:
    """A StreamWatch and a RecordReader; connects at the first look, and anew after a fault."""

    def __init__(self, kafka: KafkaAccess | str) -> None:
        self._kafka = kafka
        self._admin: Any = None
        self._consumer: Any = None
        self._one = asyncio.Lock()
        self._fault: str | None = None
        self._paused_until = 0.0

    async def look(self, topic: str, group: str) -> StreamStand:
        async with self._asking():
            return await self._look(topic, group)

    async def read(self, place: Place) -> Record | None:
        async with self._asking():
            return await self._read(TopicPartition(place.topic, place.partition), place.offset)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Let one at a time ask, over a connection that works, for a bounded time. Raises StreamAskError."""
        async with self._one:
            if self._fault is not None and asyncio.get_running_loop().time() < self._paused_until:
                raise StreamAskError(self._fault)
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._connect()
                    yield
            except (KafkaError, OSError) as fault:  # TimeoutError is an OSError
                await self.close()
                self._paused_until = asyncio.get_running_loop().time() + PAUSE_S
                self._fault = f"{type(fault).__name__}: {fault}".removesuffix(": ")
                raise StreamAskError(self._fault) from fault

    async def close(self) -> None:
        """Let go of the connections."""
        admin, consumer, self._admin, self._consumer = self._admin, self._consumer, None, None
        for each in (consumer and consumer.stop, admin and admin.close):
            if each is not None:
                await each()

    async def _connect(self) -> None:
        if self._admin is None:
            admin = AIOKafkaAdminClient(**client_options(self._kafka))
            self._admin = await started(admin, admin.close, self._kafka)
        if self._consumer is None:
            read_all_records()
            consumer = AIOKafkaConsumer(
                **client_options(self._kafka),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=1,  # a batch comes whole, and no second one
                fetch_max_wait_ms=50,
            )
            self._consumer = await started(consumer, consumer.stop, self._kafka)

    async def _look(self, topic: str, group: str) -> StreamStand:
        outside = KafkaGroup(self._admin, self._kafka, group)
        committed = await outside.committed(topic)
        places = await places_of(self._consumer, topic, wait_s=ANSWER_S / 2)
        begins = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        stands = [
            PartitionStand(place.partition, begins[place], ends[place], committed.get(place.partition))
            for place in sorted(places)
        ]
        oldest = await self._oldest(topic, stands)
        return StreamStand(topic, group, await outside.members(), stands, oldest)

    async def _read(self, place: TopicPartition, offset: int) -> Record | None:
        self._consumer.assign([place])
        self._consumer.seek(place, offset)
        found = await self._consumer.getmany(timeout_ms=FIRST_MS, max_records=1)
        first = next((records[0] for records in found.values() if records), None)
        return record_of(first) if first is not None and first.offset == offset else None

    async def _oldest(self, topic: str, stands: Sequence[PartitionStand]) -> datetime | None:
        """Find when the oldest record was written that waits, in whichever partition that answers in time."""
        waiting = {TopicPartition(topic, each.partition): each for each in stands if each.lag}
        if not waiting:
            return None
        self._consumer.assign(list(waiting))
        for place, stand in waiting.items():
            self._consumer.seek(place, max(stand.begin, stand.committed or 0))
        written = await self._first_written({place: stand.end for place, stand in waiting.items()})
        return None if not written else datetime.fromtimestamp(min(written) / 1000, UTC)

    async def _first_written(self, ends: Mapping[TopicPartition, int]) -> Sequence[int]:
        """Read when the next record of each partition was written; markers of transactions have no time.

        A broker fills an answer with one partition's batch, so those that have answered are not asked again.
        """
        written: list[int] = []
        asked = set(ends)
        until = asyncio.get_running_loop().time() + OLDEST_S
        while asked and asyncio.get_running_loop().time() < until:
            found = await self._consumer.getmany(*asked, timeout_ms=ROUND_MS)
            written += [records[0].timestamp for records in found.values() if records]
            at_the_end = {each for each in asked if await self._consumer.position(each) >= ends[each]}
            answered = at_the_end | found.keys()
            self._consumer.pause(*answered)
            asked -= answered
        return written
