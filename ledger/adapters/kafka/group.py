"""A consumer group looked at from outside, and moved while it has no members."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, KafkaError, UnknownMemberIdError, for_code

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import start_client
from ledger.application.gaps import GroupBusyError

COORDINATOR_S = 8.0
LOOK_AGAIN_S = 0.2


class KafkaGroup:
    """A Group."""

    def __init__(self, admin: Any, kafka: KafkaAccess | str, group: str) -> None:
        self._admin = admin
        self._kafka = kafka
        self._group = group

    @classmethod
    @asynccontextmanager
    async def open(cls, kafka: KafkaAccess | str, group: str) -> AsyncIterator["KafkaGroup"]:
        admin = AIOKafkaAdminClient(**client_options(kafka))
        try:
            await start_client(admin, kafka)
            yield cls(admin, kafka, group)
        finally:
            await admin.close()

    async def committed(self, topic: str) -> Mapping[int, int]:
        offsets = await self._answer(lambda: self._admin.list_consumer_group_offsets(self._group))
        return {
            place.partition: position.offset
            for place, position in offsets.items()
            if place.topic == topic and position.offset >= 0
        }

    async def members(self) -> int:
        return int(await self._answer(self._count_members))

    async def _count_members(self) -> int:
        count = 0
        for response in await self._admin.describe_consumer_groups([self._group]):
            for code, _, _, _, _, members, *_ in response.groups:
                if code:
                    raise for_code(code)
                count += len(members)
        return count

    async def _answer(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask until there is an answer: a broker's first group has no coordinator for a second or two."""
        deadline = monotonic() + COORDINATOR_S
        while True:
            try:
                return await ask()
            except KafkaError as error:
                if not error.retriable or monotonic() > deadline:
                    raise
            await asyncio.sleep(LOOK_AGAIN_S)

    async def move(self, topic: str, offsets: Mapping[int, int]) -> None:
        places = {TopicPartition(topic, partition): offset for partition, offset in offsets.items()}
        consumer = AIOKafkaConsumer(
            **client_options(self._kafka), group_id=self._group, enable_auto_commit=False
        )
        try:
            await start_client(consumer, self._kafka)
            consumer.assign(list(places))
            # The broker takes it only while the group is empty, so a worker that starts meanwhile is safe.
            await consumer.commit(places)
        except (CommitFailedError, UnknownMemberIdError) as error:
            raise GroupBusyError("a member has joined the group.") from error
        finally:
            await consumer.stop()
