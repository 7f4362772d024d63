"""What the console watches, on real Kafka and PostgreSQL: where a topic, its group and the books stand, and records."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import GroupLoadInProgressError
from prometheus_client import CollectorRegistry

from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.kafka.stands import OLDEST_S, KafkaStands
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.operator_board import PostgresOperatorBoard
from ledger.adapters.postgres.origins import PostgresOrigins
from ledger.adapters.postgres.position import PostgresPosition
from ledger.api.telemetry import ApiMetrics
from ledger.application.dead_letters import Place
from ledger.application.faults import TransientFaultError
from ledger.application.pipeline import StreamAskError
from ledger.application.places import Places
from ledger.bootstrap.console import console
from ledger.observability.signals import Signals
from loadtests.transport_truth import make_topics
from migrations.run import migrate
from streams.transport.publisher import Outgoing
from tests.builders import NOW
from tests.end_to_end.books import Books, id_of, transfer

PARTITIONS = 10


async def test_what_is_told_is_what_the_topic_and_the_books_hold(
    kafka: str, postgres_dsn: str, tmp_path: Path
) -> None:
    values = [transfer("external:bank", f"ann:{number}", 5) for number in range(20)]
    stands = KafkaStands(kafka)
    async with Books.open(kafka, postgres_dsn, "sources", tmp_path) as books:
        settings = books.settings
        pool = await open_pool(postgres_dsn, settings, size=2)
        try:
            await books.send(values)
            before = await stands.look(settings.payments_topic, settings.posting_group)
            assert (before.lag, before.members, before.written) == (20, 0, 20)
            assert before.oldest_waiting_at is not None
            async with books.worker():
                await books.until_handled(20)
                await books.publisher.publish([Outgoing(settings.payments_topic, b"k", b"poison")])
                await books.until_handled(21)
                during = await stands.look(settings.payments_topic, settings.posting_group)
                assert during.members == 1
            stand = await PostgresPosition(pool).look(settings.payments_topic)
            assert sum(stand.positions.values()) == 21
            assert stand.moved_at is not None
            assert await PostgresOperatorBoard(pool).counts() == (1, 0, 0)
            origins = PostgresOrigins(pool)
            place = await origins.place_of("acme", id_of(values[7]))
            assert place is not None
            record = await stands.read(place)
            assert record is not None
            assert record.value == values[7]
            assert await origins.place_of("rival", id_of(values[7])) is None
            assert await stands.read(Place(settings.payments_topic, 0, 10_000)) is None
        finally:
            await pool.close()
            await stands.close()


async def test_who_does_not_answer_is_told() -> None:
    stands = KafkaStands("127.0.0.1:1")
    with pytest.raises(StreamAskError):
        await stands.look("payments", "nobody")


async def test_books_that_are_not_there_are_away(kafka: str, postgres_dsn: str, tmp_path: Path) -> None:
    settings = Books(kafka, postgres_dsn, "not_there", tmp_path).settings
    pool = await open_pool(postgres_dsn, settings, size=1)
    try:
        with pytest.raises(TransientFaultError):
            await PostgresPosition(pool).look("payments")
    finally:
        await pool.close()


async def test_the_oldest_record_that_waits_is_found_in_whichever_partition_it_is(kafka: str) -> None:
    topic, now = "stands.oldest", int(NOW.timestamp() * 1000)
    await make_topics(kafka, NewTopic(topic, PARTITIONS, 1))
    await _write(kafka, topic, {partition: [now] * 50 for partition in range(PARTITIONS - 1)})
    await _write(kafka, topic, {PARTITIONS - 1: [now - 90_000]})
    stands = KafkaStands(kafka)
    try:
        stand = await stands.look(topic, "stands.nobody")
    finally:
        await stands.close()
    assert (stand.lag, stand.oldest_waiting_at) == (
        50 * (PARTITIONS - 1) + 1,
        NOW - timedelta(seconds=90),
    )


async def test_a_marker_of_a_transaction_keeps_nobody_waiting_for_its_time(kafka: str) -> None:
    topic = "stands.markers"
    await make_topics(kafka, NewTopic(topic, 1, 1))
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=topic)
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(topic, b"value", partition=0)
    finally:
        await producer.stop()
    async with KafkaGroup.open(kafka, topic) as group:
        await group.move(topic, {0: 1})
    stands = KafkaStands(kafka)
    try:
        await stands.look(topic, topic)
        begun = monotonic()
        stand = await stands.look(topic, topic)
        took_s = monotonic() - begun
    finally:
        await stands.close()
    assert (stand.lag, stand.oldest_waiting_at, took_s < OLDEST_S) == (1, None, True)


async def _write(kafka: str, topic: str, times_ms: Mapping[int, Sequence[int]]) -> None:
    """Write records of given times, a partition's as one batch."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=50)
    await producer.start()
    try:
        sent = [
            await producer.send(topic, b"value", partition=partition, timestamp_ms=at)
            for partition, times in times_ms.items()
            for at in times
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


class Loading:
    """An admin client of a broker that is still loading the group when it is asked first."""

    def __init__(self) -> None:
        self.asked = 0

    async def describe_consumer_groups(self, groups: Sequence[str]) -> Sequence[SimpleNamespace]:
        self.asked += 1
        code = GroupLoadInProgressError.errno if self.asked == 1 else 0
        return [SimpleNamespace(groups=[(code, groups[0], "Stable", "consumer", "range", ["one"])])]


async def test_a_group_that_is_being_loaded_is_asked_for_its_members_again() -> None:
    assert await KafkaGroup(Loading(), "nowhere:1", "group").members() == 1


async def test_how_far_the_books_are_is_read_though_pages_take_every_connection(
    kafka: str, postgres_dsn: str, tmp_path: Path
) -> None:
    settings = Books(kafka, postgres_dsn, "watched", tmp_path).settings
    await migrate(postgres_dsn, "watched")
    alone = settings.model_copy(update={"kafka_bootstrap": None})
    places = Places(1, 1, 1.0)
    nothing: Any = None
    async with console(
        alone, postgres_dsn, "a secret", nothing, places, ApiMetrics(CollectorRegistry()), Signals(), None
    ) as services:
        assert services is not None
        assert isinstance(services.board, PostgresOperatorBoard)
        pages = services.board._pool
        held = [await pages.acquire() for _ in range(pages.get_max_size())]
        watched = await services.watch()
        for each in held:
            await pages.release(each)
    assert watched.pipeline.faults == {}
