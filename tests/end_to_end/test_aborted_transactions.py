"""A producer that aborts its transaction: what it wrote is passed by, and what others wrote is posted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.end_to_end.books import Books, id_of, transfer

KEY = b"acme/external:bank"
MARKER = 1


@asynccontextmanager
async def aborted(books: Books, *values: bytes) -> AsyncIterator[None]:
    """Write records in a transaction that is aborted at the end of the block."""
    topic = books.settings.payments_topic
    producer = AIOKafkaProducer(bootstrap_servers=books.settings.kafka_bootstrap, transactional_id=topic)
    await producer.start()
    try:
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value, key=KEY, partition=0)
        yield
        await producer.abort_transaction()
    finally:
        await producer.stop()


async def committed(books: Books) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=books.settings.kafka_bootstrap)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(books.settings.posting_group)
        return int(found[TopicPartition(books.settings.payments_topic, 0)].offset)
    finally:
        await admin.close()


async def test_what_is_aborted_never_happened_and_what_is_around_it_is_posted(
    kafka: str, postgres_dsn: str, tmp_path: Path
) -> None:
    first, second, *unwanted = [transfer("external:bank", "ann", 1) for _ in range(5)]
    async with Books.open(kafka, postgres_dsn, "aborted", tmp_path, partitions=1) as books:
        async with books.worker() as worker:
            await books.send([first])
            await books.until_handled(1)
            async with aborted(books, *unwanted[:2]):
                await books.send([second])
            await books.until_handled(4 + MARKER)
            async with aborted(books, unwanted[2]):
                pass
            end = 5 + 2 * MARKER
            await books.until_handled(end)
            assert await worker.end() == 0
        assert await committed(books) == end
        assert (await books.balances())["ann"] == 2
        assert (await books.outcomes()).keys() == {id_of(first), id_of(second)}
        assert await books.sql("select 1 from dead_letters") == []
        assert await books.violations() == {}
