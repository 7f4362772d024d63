"""A producer for the real publisher: batches that arrive, or not, or arrive though nobody says so."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from streams.transport.publisher import BatchPublisher
from tests.simulation.faults import Faults
from tests.simulation.kafka import Broker
from tests.simulation.network import Network

BATCH_RECORDS_MAX = 20
DEADLINE_S = 1.0


class Records:
    """What fills a batch, as the builder inside aiokafka's does."""

    def __init__(self) -> None:
        self.records: list[tuple[Any, Any, Sequence[Any]]] = []

    def append(
        self, offset: int, timestamp: int | None, key: Any, value: Any, headers: Sequence[Any]
    ) -> object | None:
        """Add one record; None: it is full."""
        if len(self.records) >= BATCH_RECORDS_MAX:
            return None
        assert offset == len(self.records)
        self.records.append((key, value, headers))
        return self


class Builder:
    """A batch in the making."""

    def __init__(self) -> None:
        self._builder = Records()
        self._relative_offset = 0
        self.records = self._builder.records

    def close(self) -> None:
        """It takes no more."""
        assert self._relative_offset == len(self.records)


class SimulatedProducer:
    """An AIOKafkaProducer, as far as the publisher uses it."""

    _sender = SimpleNamespace(sender_task=SimpleNamespace(done=lambda: False))

    def __init__(self, broker: Broker, network: Network, faults: Faults, process: str) -> None:
        self._broker = broker
        self._network = network
        self._faults = faults
        self._process = process
        self._last: dict[TopicPartition, asyncio.Future[Any]] = {}

    async def partitions_for(self, topic: str) -> set[int]:
        """Look at the metadata."""
        self._faults.raise_kafka_away()
        return set(range(self._broker.partitions[topic]))

    def create_batch(self) -> Builder:
        """Begin a batch."""
        return Builder()

    async def send_batch(self, builder: Builder, topic: str, *, partition: int) -> "asyncio.Task[Any]":
        """Send; the answer comes later."""
        place = TopicPartition(topic, partition)
        before = self._last.get(place)
        sent = asyncio.create_task(self._send(place, builder, before))
        sent.add_done_callback(_seen)
        self._last[place] = sent
        return sent

    async def _send(
        self, place: TopicPartition, builder: Builder, before: "asyncio.Future[Any] | None"
    ) -> Any:
        # One request for a partition at a time, in their order.
        if before is not None:
            await asyncio.wait([before])
        fault = self._faults.take(self._process, "publish")
        mode = None if fault is None else fault["mode"]
        if mode == "before" or self._faults.away["kafka"]:
            raise KafkaTimeoutError("not sent in time")
        first = await self._network.call("kafka", self._broker.append, place, builder.records)
        if mode == "after":
            raise KafkaTimeoutError("no acknowledgement in time")
        return SimpleNamespace(offset=first)


def _seen(sent: "asyncio.Task[Any]") -> None:
    if not sent.cancelled():
        sent.exception()


def publisher_of(producer: SimulatedProducer) -> BatchPublisher:
    """Give the real publisher over a simulated producer."""
    publisher = BatchPublisher("simulated", deadline_s=DEADLINE_S)
    publisher._producer = cast(Any, producer)
    return publisher
