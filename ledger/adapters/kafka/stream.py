"""A topic read without a group: for audits, which must not move anybody's position."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import start_client
from ledger.adapters.kafka.records import FetchedRecord, read_all_records
from ledger.contract.dead_letter import Record

FETCH_MS = 500
FETCH_WAIT_MS = 50
"""What is asked for of one partition is waited for before another is read, though nothing comes at the end."""
RUN_RECORDS_MAX = 5000
STALLED_S = 30.0
METADATA_S, METADATA_AGAIN_S = 10.0, 0.2


class RecordsExpiredError(Exception):
    """Records of a stretch were deleted before they were read."""

    def __init__(self, place: TopicPartition, first: int, low: int) -> None:
        super().__init__(
            f"{place.topic}/{place.partition}: the log begins at {low} by now, and offsets {first} to {low - 1} "
            "expired before they were read"
        )


class KafkaStream:
    """A Stream and a RecordSource over one topic, read one partition at a time; what was aborted is not in it.

    If `whole`, reading raises RecordsExpiredError where records were deleted before their turn; else it goes on
    with what comes after them.
    """

    def __init__(
        self, consumer: Any, topic: str, *, stalled_s: float = STALLED_S, whole: bool = False
    ) -> None:
        self._consumer = consumer
        self._stalled_s = stalled_s
        self._whole = whole
        self.topic = topic

    @classmethod
    @asynccontextmanager
    async def open(
        cls, kafka: KafkaAccess | str, topic: str, *, whole: bool = False
    ) -> AsyncIterator["KafkaStream"]:
        read_all_records()
        consumer = AIOKafkaConsumer(
            **client_options(kafka),
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what was deleted while it is read must not hide what comes after
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            await start_client(consumer, kafka)
            await asyncio.sleep(0)  # a consumer cannot be stopped before its tasks have begun
            yield cls(consumer, topic, whole=whole)
        finally:
            await consumer.stop()

    async def bounds(self) -> dict[int, tuple[int, int]]:
        places = await places_of(self._consumer, self.topic)
        first = await self._consumer.beginning_offsets(places)
        end = await self._consumer.end_offsets(places)
        return {place.partition: (first[place], end[place]) for place in places}

    async def offsets_at(self, time_ms: int) -> dict[int, int]:
        places = await places_of(self._consumer, self.topic)
        end = await self._consumer.end_offsets(places)
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, time_ms))
        return {
            place.partition: end[place] if found[place] is None else found[place].offset for place in places
        }

    async def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """Read up to `end`; raises KafkaError where nothing has come for a while, and RecordsExpiredError.

        A topic may end in markers, so the position counts, not the last record.
        """
        place = TopicPartition(self.topic, partition)
        self._consumer.assign([place])
        self._consumer.seek(place, first)
        reached = first
        while reached < end:
            before = reached
            got, reached = await self._next(place, before)
            if self._whole and (not got or got[0].offset > before):
                await self._check_hole(place, before)
            records = [record_of(each) for each in got if each.offset < end]
            if records:
                yield records

    async def _check_hole(self, place: TopicPartition, before: int) -> None:
        """Raise RecordsExpiredError, unless the log still has all from `before` on, which then is markers."""
        low = (await self._consumer.beginning_offsets([place]))[place]
        if low > before:
            raise RecordsExpiredError(place, before, low)

    async def _next(self, place: TopicPartition, before: int) -> tuple[Sequence[FetchedRecord], int]:
        """Wait until the position moves on from `before`; gives what came, and the position."""
        try:
            async with asyncio.timeout(self._stalled_s):
                while True:
                    got = await self._consumer.getmany(
                        place, timeout_ms=FETCH_MS, max_records=RUN_RECORDS_MAX
                    )
                    position = await self._consumer.position(place)
                    if position > before:
                        return got.get(place, ()), position
        except TimeoutError:
            raise KafkaError(
                f"{place.topic}/{place.partition} gave nothing after offset {before} for {self._stalled_s:g} s"
            ) from None


async def places_of(consumer: Any, topic: str, *, wait_s: float = METADATA_S) -> list[TopicPartition]:
    """Find the partitions of a topic; none where there is no such topic. Raises KafkaError where no broker tells."""
    client, deadline = consumer._client, monotonic() + wait_s
    await _look_up(client, deadline)
    if consumer.partitions_for_topic(topic) is None:
        client.add_topic(topic)  # one that was not asked for yet
        await _look_up(client, deadline)
    return [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]


async def _look_up(client: Any, deadline: float) -> None:
    """Ask brokers for their topics until one tells: one that is not yet of its cluster answers, and knows of none."""
    while not await client.force_metadata_update():
        if monotonic() >= deadline:
            raise KafkaConnectionError("no broker tells what topics there are")
        await asyncio.sleep(METADATA_AGAIN_S)


def record_of(record: FetchedRecord) -> Record:
    """Keep what the ledger keeps of a record."""
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        tuple(record.headers),
        record.timestamp,
    )
