"""Connecting to a real Kafka: a start that is given up leaves no connection open."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import client as clients

from ledger.adapters.kafka.access import client_options
from ledger.adapters.kafka.connecting import start_client

STEPS_MAX = 1000


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every connection that aiokafka opens from now on."""
    found: list[Any] = []
    create_conn = clients.create_conn

    async def remembered(*arguments: Any, **options: Any) -> Any:
        connection = await create_conn(*arguments, **options)
        found.append(connection)
        return connection

    monkeypatch.setattr(clients, "create_conn", remembered)
    return found


async def test_a_start_given_up_at_any_step_leaves_no_connection(kafka: str, opened: list[Any]) -> None:
    given_up_while_open = 0
    for steps in range(STEPS_MAX):
        consumer = AIOKafkaConsumer(**client_options(kafka), enable_auto_commit=False)
        starting = asyncio.create_task(start_client(consumer, kafka))
        for _ in range(steps):
            await asyncio.sleep(0)
        is_started = starting.done()
        given_up_while_open += bool(opened) and not is_started
        starting.cancel()
        assert (await asyncio.gather(starting, return_exceptions=True))[0] is None or not is_started
        await asyncio.sleep(0)
        await consumer.stop()
        assert [each for each in opened if each.connected()] == [], f"given up after {steps} steps"
        opened.clear()
        if is_started:
            break
    assert given_up_while_open > 0
