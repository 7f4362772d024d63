"""What the console watches, on real Kafka and PostgreSQL: where a topic, its group and the books stand, and records."""

from pathlib import Path

import pytest

from ledger.adapters.kafka.stands import KafkaStands
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.operator_board import PostgresOperatorBoard
from ledger.adapters.postgres.origins import PostgresOrigins
from ledger.adapters.postgres.position import PostgresPosition
from ledger.application.dead_letters import Place
from ledger.application.faults import TransientFaultError
from ledger.application.pipeline import StreamAskError
from streams.transport.publisher import Outgoing
from tests.end_to_end.books import Books, id_of, transfer


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
