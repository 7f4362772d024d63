"""Verifying windows beside live traffic: what workers wrote is right, and what somebody else wrote is found."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from time import monotonic

import msgspec
import pytest
from aiokafka import TopicPartition

from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.postgres.connection import open_pool
from ledger.application.window_changelog import keep_last
from ledger.domain.audit import Check
from streams.transport.publisher import Outgoing
from streams.verifying_windows import verify_windows
from tests.end_to_end.books import WAIT_S, Books, transfer
from tests.end_to_end.rolled import until_rolled
from tests.end_to_end.window_stage import WINDOWS

ACCOUNTS = [f"customer:{number}" for number in range(40)]
LOW = 7
"""Where a window has its lowest balance."""


@pytest.fixture
async def books(kafka: str, postgres_dsn: str, tmp_path: Path) -> AsyncIterator[Books]:
    async with Books.open(kafka, postgres_dsn, "verified_windows", tmp_path) as books:
        yield books


async def until_published(books: Books, entries: int) -> None:
    deadline = monotonic() + WAIT_S
    async with KafkaStream.open(str(books.settings.kafka_bootstrap), books.settings.entries_topic) as stream:
        while sum(end for _, end in (await stream.bounds()).values()) < entries:
            assert monotonic() < deadline
            await asyncio.sleep(0.1)


async def check(books: Books, stalled_s: float = 30.0) -> Check:
    pool = await open_pool(str(books.settings.postgres_dsn), books.settings, size=1)
    try:
        return await verify_windows(
            books.settings, str(books.settings.kafka_bootstrap), pool, stalled_s=stalled_s
        )
    finally:
        await pool.close()


async def pay(books: Books, times: int) -> None:
    for number in range(times):
        await books.send([transfer("external:bank", account, number + 1) for account in ACCOUNTS])
        await asyncio.sleep(0.05)


async def last_values(books: Books, partition: int) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    bootstrap, topic = str(books.settings.kafka_bootstrap), books.settings.windows_topic
    async with KafkaStream.open(bootstrap, topic) as stream:
        first, end = (await stream.bounds())[partition]
        async for records in stream.read(partition, first, end):
            keep_last(values, records)
    return values


@pytest.mark.slow
async def test_windows_are_verified_beside_traffic_and_what_is_wrong_or_behind_is_found(books: Books) -> None:
    await pay(books, 3)
    async with books.worker(), books.worker(arguments=WINDOWS) as windows:
        await books.until_handled(3 * len(ACCOUNTS))
        await until_published(books, 6 * len(ACCOUNTS))
        await until_rolled(books)
        paying = asyncio.create_task(pay(books, 30))
        for _ in range(2):
            found = await check(books)
            assert found.violations == []
            assert found.checked >= len(ACCOUNTS)
        await paying
        verdict = await books.verdict()
        assert verdict.ok, verdict.as_dict()
        assert verdict.checks[-1].name == "windows"
        assert await windows.end() == 0

        await corrupt(books)
        violations = (await check(books)).violations
        assert {each["what"] for each in violations} == {"low of a window differs"}
        assert [each["window"][:2] for each in violations] == ["1m", "1h", "1d"]
        assert all(datetime.fromisoformat(each["window"][3:]).tzinfo for each in violations)

        await pay(books, 1)
        await books.until_handled(34 * len(ACCOUNTS))
        await until_published(books, 2 * 34 * len(ACCOUNTS))
        assert {each["what"] for each in (await check(books, stalled_s=0.5)).violations} == {
            "the windows are behind the entries"
        }


async def corrupt(books: Books) -> None:
    """Change one number of one window in the changelog."""
    values = await last_values(books, 0)
    key = next(key for key in values if b" 1m " in key)
    window = msgspec.msgpack.decode(values[key])
    window[LOW] -= 1
    topic = books.settings.windows_topic
    record = Outgoing(topic, key, msgspec.msgpack.encode(window))
    await books.publisher.publish_to(TopicPartition(topic, 0), [record])
