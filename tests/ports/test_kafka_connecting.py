"""Connections to a real Kafka: a start that is given up leaves none open, and one that broke is told as broken."""

import asyncio
from typing import Any

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import client as clients
from aiokafka.errors import InvalidTopicError, KafkaConnectionError, KafkaError, NodeNotReadyError
from aiokafka.protocol.metadata import MetadataRequest

from ledger.adapters.kafka.access import client_options
from ledger.adapters.kafka.connecting import answered, start_client


async def test_a_start_given_up_while_it_asks_leaves_no_connection(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    is_open = asyncio.Event()
    create_conn = clients.create_conn

    async def remembered(*arguments: Any, **options: Any) -> Any:
        opened.append(await create_conn(*arguments, **options))
        is_open.set()
        return opened[-1]

    monkeypatch.setattr(clients, "create_conn", remembered)
    consumer = AIOKafkaConsumer(**client_options(kafka), enable_auto_commit=False)
    starting = asyncio.create_task(start_client(consumer, kafka))
    await is_open.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await asyncio.sleep(0)  # a consumer cannot be stopped before its tasks have begun
    await consumer.stop()
    assert [each for each in opened if each.connected()] == []


class Broker:
    """Meets each question with the next of its faults, then answers."""

    def __init__(self, *faults: KafkaError) -> None:
        self._faults = list(faults)

    async def answer(self) -> str:
        if self._faults:
            raise self._faults.pop(0)
        return "answer"


async def test_a_broker_that_is_not_ready_is_asked_again() -> None:
    assert await answered(Broker(NodeNotReadyError(), NodeNotReadyError()).answer, within_s=10) == "answer"
    with pytest.raises(NodeNotReadyError):
        await answered(Broker(NodeNotReadyError()).answer, within_s=-1)


async def test_what_a_broker_refuses_is_not_asked_again() -> None:
    with pytest.raises(InvalidTopicError):
        await answered(Broker(InvalidTopicError()).answer, within_s=10)


def test_what_is_sent_over_a_connection_that_just_broke_fails_as_such(kafka: str) -> None:
    async def send() -> None:
        producer = AIOKafkaProducer(**client_options(kafka))
        await start_client(producer, kafka)
        try:
            node = producer.client.get_random_node()
            assert await producer.client.ready(node)
            [connection] = producer.client._conns.values()
            task, reader, writer = connection._read_task, connection._reader, connection._writer
            await connection.close()
            # As it is for a moment when the other end has hung up: closed, and nobody has said so.
            connection._read_task, connection._reader, connection._writer = task, reader, writer
            with pytest.raises(KafkaConnectionError, match="closed"):
                await connection.send(MetadataRequest([]))
            assert (await producer.client.send(node, MetadataRequest([]))).brokers
        finally:
            await producer.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(send())
