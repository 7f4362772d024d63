"""Compose the dead letters' use cases: the books they are kept in, and the topic they are sent to again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from ledger.adapters.kafka.access import KafkaAccess
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.dead_letters import PostgresDeadLetters
from ledger.adapters.postgres.precedents import PostgresPrecedents
from ledger.adapters.postgres.standings import PostgresStandings
from ledger.adapters.system import SystemClock
from ledger.application.dead_letters import DropLetters, Place, RefusePosted, RequeueLetters
from ledger.application.faults import LogAwayError, RecordRefusedError
from ledger.config import Settings
from ledger.contract.outgoing import Message
from streams.embedded.addresses import find_kafka, find_postgres
from streams.publishing import to_topic
from streams.topics import payments_bytes_max
from streams.transport.errors import PublishError, RecordTooLargeError
from streams.transport.publisher import BatchPublisher


class KafkaPayments:
    """Payments over a publisher that awaits every acknowledgement."""

    def __init__(self, publisher: BatchPublisher, topic: str) -> None:
        self._publisher = publisher
        self._topic = topic

    async def send(self, messages: Sequence[Message]) -> Sequence[Place]:
        written = await self._publisher.publish_placed([to_topic(self._topic, each) for each in messages])
        return [Place(place.topic, place.partition, offset) for place, offset in written]


class PaymentsOnDemand:
    """Payments over a publisher that connects when it is first needed; faults are those that the API can tell of."""

    def __init__(self, settings: Settings, kafka: KafkaAccess) -> None:
        self._publisher = BatchPublisher(kafka, batch_bytes_max=payments_bytes_max(settings))
        self._payments = KafkaPayments(self._publisher, settings.payments_topic)
        self._starting = asyncio.Lock()
        self._is_started = False

    async def send(self, messages: Sequence[Message]) -> Sequence[Place]:
        try:
            async with self._starting:
                if not self._is_started:
                    await self._publisher.start()
                    self._is_started = True
            return await self._payments.send(messages)
        except RecordTooLargeError as error:
            raise RecordRefusedError(str(error)) from error
        except PublishError as error:
            raise LogAwayError(str(error)) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._publisher.stop()


@asynccontextmanager
async def kept_letters(settings: Settings) -> AsyncIterator[PostgresDeadLetters]:
    """The dead letters of the books that are set, or that `ledger up` started."""
    pool = await open_pool(find_postgres(settings), settings, size=2, name="ledger-dlq")
    try:
        yield PostgresDeadLetters(pool)
    finally:
        await pool.close()


async def unread(
    settings: Settings, letters: PostgresDeadLetters, topic: str | None, partition: int | None
) -> str | None:
    """Say that no letter can be of a topic or of a partition, as these books read no such one; or None."""
    meant = settings.payments_topic if topic is None else topic
    async with letters.pool.acquire() as connection:
        positions = await PostgresStandings(connection).positions(meant)
    if not positions and meant != settings.payments_topic:
        return f"These books have read no topic {meant}; they read {settings.payments_topic}."
    # A partition that is there may be one of which nothing came yet.
    if partition is not None and partition not in positions and partition >= settings.partitions:
        return f"These books have read no partition {partition} of {meant}."
    return None


@asynccontextmanager
async def requeueing(settings: Settings, letters: PostgresDeadLetters) -> AsyncIterator[RequeueLetters]:
    """The use case, connected to Kafka."""
    # A letter may be there because it is larger than an event may be.
    publisher = BatchPublisher(find_kafka(settings), batch_bytes_max=payments_bytes_max(settings))
    await publisher.start()
    try:
        payments = KafkaPayments(publisher, settings.payments_topic)
        yield RequeueLetters(
            letters,
            payments,
            SystemClock(),
            _refusing_posted(settings, letters),
            bytes_max=settings.record_bytes_max,
        )
    finally:
        await publisher.stop()


def dropping(settings: Settings, letters: PostgresDeadLetters) -> DropLetters:
    """The use case, on the same books."""
    return DropLetters(letters, SystemClock(), _refusing_posted(settings, letters))


def _refusing_posted(settings: Settings, letters: PostgresDeadLetters) -> RefusePosted:
    return RefusePosted(PostgresPrecedents(letters.pool), bytes_max=settings.record_bytes_max)
