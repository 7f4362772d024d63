"""A connection to Kafka that does not answer is given up, unless a rebalance is what is waited for."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import RequestTimedOutError
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

from streams.transport import answers
from streams.transport.answers import BoundedSending

SOON_S = 0.02
LATER_S = 10.0
HEARTBEAT = HeartbeatRequest("group", 1, "member")
JOIN = JoinGroupRequest("group", 1, 1, "member", None, "consumer", [])
SYNC = SyncGroupRequest("group", 1, "member", None, [])


class Connection:
    """A connection that may be closed, and the bytes of an answer that is not whole yet."""

    closed = False
    _last_action = 0.0

    def __init__(self) -> None:
        self._reader = asyncio.StreamReader()

    def close(self, **_: object) -> None:
        self.closed = True


class Silent:
    """A client whose requests are answered when the test says so."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        groups = (ConnectionGroup.DEFAULT, ConnectionGroup.COORDINATION)
        self._conns = {(1, group): Connection() for group in groups}

    async def send(self, node: int, request: Any, *, group: Any) -> str:
        await self.answer.wait()
        return "answer"

    def closed(self, group: Any) -> bool:
        return self._conns[1, group].closed


def bounded(client: Silent, rebalance_s: float = LATER_S) -> BoundedSending:
    return BoundedSending(cast(AIOKafkaClient, client), rebalance_s, SOON_S, LATER_S)


def listening(client: Silent) -> BoundedSending:
    return BoundedSending(cast(AIOKafkaClient, client), LATER_S, LATER_S, SOON_S)


async def test_a_connection_that_does_not_answer_is_given_up() -> None:
    client = Silent()
    with pytest.raises(RequestTimedOutError):
        await bounded(client)(1, HEARTBEAT, group=ConnectionGroup.COORDINATION)
    assert client.closed(ConnectionGroup.COORDINATION)
    assert not client.closed(ConnectionGroup.DEFAULT)


async def test_an_answer_is_given_back() -> None:
    client = Silent()
    client.answer.set()
    assert await bounded(client)(1, HEARTBEAT) == "answer"


async def test_a_rebalance_and_what_waits_behind_it_may_take_longer() -> None:
    client = Silent()
    send = bounded(client)
    group = ConnectionGroup.COORDINATION
    asked = [asyncio.create_task(send(1, request, group=group)) for request in (JOIN, HEARTBEAT)]
    await asyncio.sleep(5 * SOON_S)
    client.answer.set()
    assert await asyncio.gather(*asked) == ["answer", "answer"]
    assert not client.closed(group)


@pytest.mark.parametrize("request_", [JOIN, SYNC], ids=["join", "sync"])
async def test_a_rebalance_that_is_not_answered_when_its_time_is_over_is_given_up(
    request_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "REBALANCE_MARGIN_S", SOON_S)
    client = Silent()
    send = bounded(client, 5 * SOON_S)
    group = ConnectionGroup.COORDINATION
    began = asyncio.get_running_loop().time()
    with pytest.raises(RequestTimedOutError):
        async with asyncio.timeout(LATER_S):
            await send(1, request_, group=group)
    assert asyncio.get_running_loop().time() - began >= 6 * SOON_S
    assert client.closed(group)


async def test_a_fetch_is_bounded_in_a_rebalance_too() -> None:
    client = Silent()
    send = bounded(client)
    joining = asyncio.create_task(send(1, JOIN, group=ConnectionGroup.COORDINATION))
    await asyncio.sleep(0)
    with pytest.raises(RequestTimedOutError):
        await send(1, HEARTBEAT, group=ConnectionGroup.DEFAULT)
    client.answer.set()
    await joining


# Silence


async def until_closed(client: Silent, group: Any) -> None:
    async with asyncio.timeout(LATER_S / 2):
        while not client.closed(group):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(SOON_S / 4)


async def test_a_connection_without_a_byte_is_given_up_long_before_an_answer_is_late() -> None:
    client = Silent()
    asked = asyncio.create_task(listening(client)(1, HEARTBEAT))
    await until_closed(client, ConnectionGroup.DEFAULT)
    assert not client.closed(ConnectionGroup.COORDINATION)
    client.answer.set()
    await asked


async def test_a_slow_answer_is_waited_for_while_bytes_of_it_come() -> None:
    client = Silent()
    reader = client._conns[1, ConnectionGroup.DEFAULT]._reader
    asked = asyncio.create_task(listening(client)(1, HEARTBEAT))
    for _ in range(40):
        reader.feed_data(b".")
        await asyncio.sleep(SOON_S / 4)
    assert not client.closed(ConnectionGroup.DEFAULT)
    await until_closed(client, ConnectionGroup.DEFAULT)
    client.answer.set()
    await asked


async def test_silence_in_a_rebalance_is_no_reason() -> None:
    client = Silent()
    send = listening(client)
    group = ConnectionGroup.COORDINATION
    asked = [asyncio.create_task(send(1, request, group=group)) for request in (HEARTBEAT, JOIN, HEARTBEAT)]
    await asyncio.sleep(5 * SOON_S)
    assert not client.closed(group)
    client.answer.set()
    assert await asyncio.gather(*asked) == ["answer"] * 3


async def test_nobody_listens_once_the_answer_is_there() -> None:
    client = Silent()
    client.answer.set()
    await listening(client)(1, HEARTBEAT)
    await asyncio.sleep(3 * SOON_S)
    assert not client.closed(ConnectionGroup.DEFAULT)
