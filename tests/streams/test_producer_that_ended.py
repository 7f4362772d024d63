"""A producer that a fault has ended, on a real Kafka: another one takes its place."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic

from loadtests.transport_truth import make_topics
from streams.transport.errors import PublishError
from streams.transport.publisher import BatchPublisher, Outgoing

TOPIC = "ended"


@pytest.fixture
async def publisher(kafka: str) -> AsyncIterator[BatchPublisher]:
    publisher = BatchPublisher(kafka, deadline_s=10.0)
    await publisher.start()
    yield publisher
    await publisher.stop()


def records(*texts: bytes) -> list[Outgoing]:
    return [Outgoing(TOPIC, b"key", text) for text in texts]


def end(publisher: BatchPublisher) -> Any:
    """Have its producer meet a fault that aiokafka does not expect, whatever it sends; gives the producer."""
    producer: Any = publisher._producer

    async def refused(*given: Any, **more: Any) -> None:
        raise RuntimeError("the handler is closed")

    producer.client.send = refused
    return producer


async def written(kafka: str) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        place = TopicPartition(TOPIC, 0)
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        return [(await consumer.getone()).value for _ in range(end)]
    finally:
        await consumer.stop()


async def test_what_it_did_not_send_is_sent_by_another(kafka: str, publisher: BatchPublisher) -> None:
    await make_topics(kafka, NewTopic(TOPIC, 1, 1))
    await publisher.publish(records(b"before"))
    ended = end(publisher)

    await publisher.publish(records(b"one", b"two"))
    await publisher.publish(records(b"after"))
    assert await written(kafka) == [b"before", b"one", b"two", b"after"]
    assert publisher._producer is not ended


async def test_while_there_is_no_other_the_fault_is_told(
    kafka: str, publisher: BatchPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publisher.publish(records(b"known"))
    end(publisher)
    with monkeypatch.context() as away:
        away.setattr(publisher, "_kafka", "127.0.0.1:1")
        for _ in range(2):
            with pytest.raises(PublishError, match="cannot be reached"):
                await publisher.publish(records(b"lost"))
    await publisher.publish(records(b"found"))
    assert (await written(kafka))[-1] == b"found"


async def test_whoever_waits_for_an_answer_of_it_still_gets_one(
    kafka: str, publisher: BatchPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_topics(kafka, NewTopic("unknown", 1, 1))
    await publisher.publish(records(b"known"))
    ended, asked, answers = end(publisher), asyncio.Event(), asyncio.Event()
    update = ended.client._metadata_update

    async def late(*given: Any) -> Any:
        asked.set()
        await answers.wait()
        return await update(*given)

    monkeypatch.setattr(ended.client, "_metadata_update", late)
    waiting = asyncio.create_task(publisher.publish([Outgoing("unknown", b"key", b"value")]))
    await asked.wait()
    await publisher.publish(records(b"by another"))
    assert publisher._producer is not ended
    answers.set()
    await asyncio.wait_for(waiting, 5.0)
