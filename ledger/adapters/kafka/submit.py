"""The log of events in Kafka: written by every in-sync replica, or a fault, within a bounded time."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from time import monotonic
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import close_producer, started
from ledger.adapters.kafka.queueing import Keyed, PartitionQueue
from ledger.application.faults import LogAwayError, RecordRefusedError
from ledger.config import COMPRESSION
from ledger.contract.decode import ADDRESS_BYTES_MAX, RECORD_BYTES_MAX
from ledger.observability.signals import Signals

DELIVERY_S = 5.0
CLOSING_S = 5.0
PAUSE_S = 1.0
"""After a fault nothing is tried for so long: callers are told at once, and nothing piles up."""
BATCH_OVERHEAD = 4096
KEYS_REMEMBERED_MAX = 100_000


class _Record(NamedTuple):
    key: bytes
    value: bytes


class KafkaEventLog:
    """An EventLog."""

    def __init__(
        self,
        kafka: KafkaAccess | str,
        topic: str,
        signals: Signals,
        *,
        bytes_max: int = RECORD_BYTES_MAX,
        delivery_s: float = DELIVERY_S,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._signals = signals
        self._bytes_max = bytes_max
        self._delivery_s = delivery_s
        self._now = now
        self._producer: Any | None = None
        self._starting = asyncio.Lock()
        self._paused_until = 0.0
        self._closing: set[asyncio.Task[None]] = set()
        self._queues: dict[int, PartitionQueue] = {}
        self._hash = lru_cache(KEYS_REMEMBERED_MAX)(murmur2)

    async def start(self) -> None:
        """Connect, if Kafka is there; else the first who publishes tries again."""
        try:
            await self._started()
        except KafkaError as error:
            self._failed(error)

    async def stop(self) -> None:
        """Send what is on its way, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await close_producer(producer, CLOSING_S)
        await asyncio.gather(*self._closing)

    async def keep(self, key: bytes, value: bytes) -> None:
        """Write one record of any kind, as `publish` does."""
        await self.publish([_Record(key, value)])

    async def publish(self, submissions: Sequence[Keyed]) -> None:
        if self._now() < self._paused_until:
            raise LogAwayError("Kafka did not take events a moment ago")
        try:
            async with asyncio.timeout(self._delivery_s):
                await self._publish(await self._started(), submissions)
            self._signals.emit("records.written", topic=self._topic, count=len(submissions))
        except MessageSizeTooLargeError as error:
            raise RecordRefusedError("an event is larger than the topic takes") from error
        except (KafkaError, TimeoutError) as error:
            self._failed(error)
            raise LogAwayError(f"Kafka did not acknowledge in {self._delivery_s:g} s") from error

    async def _publish(self, producer: Any, submissions: Sequence[Keyed]) -> None:
        groups: dict[int, list[Keyed]] = defaultdict(list)
        for each in submissions:
            groups[await self._place(producer, each.key)].append(each)
        await asyncio.gather(
            *(self._queue(producer, number).write(group) for number, group in groups.items())
        )

    def _queue(self, producer: Any, partition: int) -> PartitionQueue:
        found = self._queues.get(partition)
        if found is None or found.producer is not producer:
            found = self._queues[partition] = PartitionQueue(producer, self._topic, partition)
        return found

    async def _place(self, producer: Any, key: bytes) -> int:
        """Choose as Java's client does: partitions in order, murmur2 of the key without its sign."""
        numbers = sorted(await producer.partitions_for(self._topic))
        chosen: int = numbers[(self._hash(key) & 0x7FFFFFFF) % len(numbers)]
        return chosen

    async def _started(self) -> Any:
        async with self._starting:
            if self._producer is None:
                self._producer = await self._connected()
            return self._producer

    async def _connected(self) -> Any:
        producer = AIOKafkaProducer(
            **client_options(self._kafka),
            acks="all",
            enable_idempotence=True,
            compression_type=COMPRESSION,
            max_batch_size=self._bytes_max + ADDRESS_BYTES_MAX + BATCH_OVERHEAD,
            max_request_size=2 * (self._bytes_max + ADDRESS_BYTES_MAX + BATCH_OVERHEAD),
            request_timeout_ms=int(self._delivery_s * 1000),
        )
        return await started(producer, producer.stop, self._kafka)

    def _failed(self, error: Exception) -> None:
        self._paused_until = self._now() + PAUSE_S
        self._signals.emit("log.away", topic=self._topic, fault=repr(error))
        # One that was only cut off goes on by itself, and still sends what it holds; any other is at its end.
        if isinstance(error, KafkaError) and not error.retriable and self._producer is not None:
            self._closing.add(task := asyncio.create_task(close_producer(self._producer, CLOSING_S)))
            task.add_done_callback(self._closing.discard)
            self._producer = None
