"""Following the topic of outcomes, without a group, for those who wait for particular ids."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import start_client
from ledger.adapters.kafka.stream import places_of
from ledger.config import Settings


class Outcomes:
    """The outcomes published since it was opened."""

    def __init__(self, consumer: Any | None) -> None:
        self._consumer = consumer

    @classmethod
    @asynccontextmanager
    async def following(
        cls, settings: Settings, kafka: KafkaAccess | str, *, on: bool
    ) -> AsyncIterator["Outcomes"]:
        """Begin at the end of the topic as it is now; with `on` false, follow nothing."""
        if not on:
            yield cls(None)
            return
        consumer = AIOKafkaConsumer(**client_options(kafka), enable_auto_commit=False)
        try:
            await start_client(consumer, kafka)
            await _assign_end(consumer, settings.outcomes_topic)
            yield cls(consumer)
        finally:
            await consumer.stop()

    async def of(self, ids: set[str], wait_s: float) -> dict[str, Any]:
        """Wait for the outcomes of `ids`, by id; gives what came in time."""
        answers: dict[str, Any] = {}
        deadline = monotonic() + wait_s
        while self._consumer is not None and len(answers) < len(ids) and monotonic() < deadline:
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    outcome = orjson.loads(record.value)
                    if outcome["id"] in ids:
                        answers[outcome["id"]] = outcome
        return answers


async def _assign_end(consumer: Any, topic: str) -> None:
    places = await places_of(consumer, topic)
    consumer.assign(places)
    for place, end in (await consumer.end_offsets(places)).items():
        consumer.seek(place, end)
