"""Live traffic at a steady rate, and how long each event takes from its due time until its outcome is seen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from statistics import quantiles
from time import monotonic

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from ledger.config import Settings
from loadtests.replay_load import transfers
from streams.transport.publisher import BatchPublisher

WAIT_S = 30.0
TICK_S = 0.005


class LiveTraffic:
    """Sends on time, whether the last was answered or not, so that waiting counts."""

    def __init__(self, settings: Settings, publisher: BatchPublisher, consumer: AIOKafkaConsumer) -> None:
        self._settings = settings
        self._publisher = publisher
        self._consumer = consumer
        self._due: dict[str, float] = {}
        self._took_ms: list[float] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, kafka: str, settings: Settings) -> AsyncIterator["LiveTraffic"]:
        """Begin at the end of the outcomes."""
        publisher = BatchPublisher(kafka)
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
        await publisher.start()
        await consumer.start()
        try:
            consumer.assign(
                [TopicPartition(settings.outcomes_topic, number) for number in range(settings.partitions)]
            )
            await consumer.seek_to_end()
            yield cls(settings, publisher, consumer)
        finally:
            await consumer.stop()
            await publisher.stop()

    async def run(self, rate: float, seconds: float) -> dict[str, float]:
        """Send for so many seconds, wait for what is not answered yet, and give the percentiles in milliseconds."""
        self._took_ms.clear()
        sending = asyncio.create_task(self._send(rate, seconds))
        async with asyncio.timeout(seconds + WAIT_S):
            while not sending.done() or self._due:
                await self._look()
        await sending
        cuts = quantiles(self._took_ms, n=100)
        return {
            "p50_ms": round(cuts[49], 1),
            "p99_ms": round(cuts[98], 1),
            "max_ms": round(max(self._took_ms), 1),
        }

    async def _send(self, rate: float, seconds: float) -> None:
        chance, begun, sent = Random(2), monotonic(), 0
        while sent < rate * seconds:
            due = int((monotonic() - begun) * rate) - sent
            made = transfers(self._settings.payments_topic, due, chance)
            for each in made:
                self._due[orjson.loads(each.value or b"")["id"]] = begun + sent / rate
                sent += 1
            await self._publisher.publish(made)
            await asyncio.sleep(TICK_S)

    async def _look(self) -> None:
        for records in (await self._consumer.getmany(timeout_ms=20)).values():
            now = monotonic()
            for record in records:
                due = self._due.pop(orjson.loads(record.value)["id"], None)
                if due is not None:
                    self._took_ms.append((now - due) * 1000)
