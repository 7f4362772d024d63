"""Logs with holes: transactions that were committed and aborted, compaction, records that were deleted."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from loadtests.transport_truth import make_topics


async def publish_transactions(
    bootstrap: str, topic: str, partition: int, count: int, aborted_every: int
) -> None:
    """One record a transaction; each `aborted_every`-th is aborted."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{topic}-{partition}")
    await producer.start()
    try:
        for number in range(count):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"%d" % number, partition=partition)
            if number % aborted_every == aborted_every - 1:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()
    finally:
        await producer.stop()


async def publish_one_by_one(bootstrap: str, topic: str, partition: int, count: int, keys: int) -> None:
    """A batch for each record, so that compaction can leave holes anywhere."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for number in range(count):
            await producer.send_and_wait(topic, bytes(200), b"%d" % (number % keys), partition=partition)
    finally:
        await producer.stop()


async def make_compacted(bootstrap: str, topic: str, count: int, keys: int) -> None:
    """A topic of one partition that the broker will soon compact to its last records."""
    settings = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "500",
    }
    await make_topics(bootstrap, NewTopic(topic, 1, 1, topic_configs=settings))
    await publish_one_by_one(bootstrap, topic, 0, count, keys)
    # The newest segment is never compacted: begin one more.
    await asyncio.sleep(0.5)
    await publish_one_by_one(bootstrap, topic, 0, 1, keys)


async def delete_before(bootstrap: str, topic: str, partition: int, offset: int) -> None:
    """Let the records before an offset expire."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


async def commit_as(bootstrap: str, group: str, topic: str, offsets: dict[int, int]) -> None:
    """Commit offsets for a group that has no members."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        places = {TopicPartition(topic, number): offset for number, offset in offsets.items()}
        consumer.assign(list(places))
        await asyncio.wait_for(consumer.commit(places), 20.0)
    finally:
        await consumer.stop()
