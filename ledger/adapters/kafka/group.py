"""A consumer group looked at from outside, and moved while it has no members."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, UnknownMemberIdError, for_code

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import answered, start_client
from ledger.application.gaps import GroupBusyError

COORDINATOR_S = 8.0
"""A broker's first group has no coordinator for a second or two."""


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
        offsets = await answered(lambda: self._admin.list_consumer_group_offsets(self._group), COORDINATOR_S)
        return {
            place.partition: position.offset
            for place, position in offsets.items()
            if place.topic == topic and position.offset >= 0
        }

    async def members(self) -> int:
        return await answered(self._count_members, COORDINATOR_S)

    async def _count_members(self) -> int:
        count = 0
        for response in await self._admin.describe_consumer_groups([self._group]):
            for code, _, _, _, _, members, *_ in response.groups:
                if code:
                    raise for_code(code)
                count += len(members)
        return count

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
