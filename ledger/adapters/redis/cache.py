"""Balances cached in Redis, for all processes: its own clock tells their age, and a lease lets in only newer ones."""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any, Literal

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from ledger.application.balance_cache import BalanceId, CacheAwayError, Found
from ledger.application.reading import BalanceView

CONNECTIONS_MAX = 16
FENCE_MS = 60_000
"""A lease that nobody used is gone after this long: far longer than any reading of the books takes."""
_TIME_BYTES = 8

# A hash for each balance: l = the lease that lets the next one in, v = the balance, b = begun at (ms of Redis's
# clock), t = its time (ms). Whatever changes the balance changes the lease, so whoever began to read before cannot
# put it back. A lease is never used twice, so Redis may lose everything at any time. It comes with the time: what
# is put was read after that, however long it takes to get here.
_GET = """
local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('hmget', KEYS[1], 'l', 'v', 'b', 't')
if not kept[1] then
    redis.call('hset', KEYS[1], 'l', ARGV[1])
    redis.call('pexpire', KEYS[1], ARGV[2])
    return {ARGV[1], now}
end
local age = kept[3] and now - kept[3] or 0
if kept[2] and age >= 0 and age < tonumber(kept[4]) then
    return {kept[1], now, kept[2], age, tonumber(kept[4])}
end
redis.call('pexpire', KEYS[1], ARGV[2])
return {kept[1], now}
"""
_PUT = """
if redis.call('hget', KEYS[1], 'l') ~= ARGV[1] then
    return 0
end
local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local begun = math.min(now - ARGV[4], tonumber(ARGV[7]))
redis.call('hset', KEYS[1], 'l', ARGV[2], 'v', ARGV[3], 'b', string.format('%.0f', begun), 't', ARGV[5])
redis.call('pexpire', KEYS[1], ARGV[6])
return 1
"""


class _Kept(msgspec.Struct, array_like=True):
    """A balance as Redis holds it; `form` tells another form, `key` an answer to another question."""

    form: Literal[1]
    key: str
    normal_side: Literal["credit", "debit"]
    posted_debits: str
    posted_credits: str
    held: str | None
    version: int
    as_of: datetime


_kept = msgspec.msgpack.Decoder(_Kept)


class RedisCache:
    """A BalanceCache. `namespace` tells these books from others that use the same Redis."""

    def __init__(self, url: str, namespace: str, *, timeout_s: float) -> None:
        self._namespace = namespace
        self._timeout_s = timeout_s
        # No retries: after one timeout the books are read, which is what retries would wait for.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
        )
        self._redis: Any = Redis(connection_pool=pool)
        self._get = self._redis.register_script(_GET)
        self._put = self._redis.register_script(_PUT)
        self._process = secrets.token_bytes(8)
        self._numbers = count(1)

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def get(self, balance: BalanceId) -> Found:
        asking = self._get([self._key(balance)], [self._lease(), FENCE_MS])
        lease, leased_ms, *kept = await self._asked(asking)
        lease = leased_ms.to_bytes(_TIME_BYTES, "big") + lease
        if not kept:
            return Found(None, 0.0, 0.0, lease)
        value, age_ms, ttl_ms = kept
        view = _unpacked(self._key(balance), balance, value)
        return Found(view, age_ms / 1000, ttl_ms / 1000, lease)

    async def put(
        self, balance: BalanceId, lease: bytes, view: BalanceView, age_s: float, ttl_s: float
    ) -> bool:
        # Rounded against the balance: its age up, its time down.
        age_ms, ttl_ms = int(age_s * 1000) + 1, int(ttl_s * 1000)
        leased_ms = int.from_bytes(lease[:_TIME_BYTES], "big") - 1
        given: list[bytes | int] = [
            lease[_TIME_BYTES:],
            self._lease(),
            _packed(self._key(balance), view),
            age_ms,
            ttl_ms,
            max(FENCE_MS, ttl_ms),
            leased_ms,
        ]
        return bool(await self._asked(self._put([self._key(balance)], given)))

    async def forget(self, balances: Sequence[BalanceId]) -> None:
        if balances:
            # Without its lease no reading can put a balance back; the next one who asks gets a new lease.
            await self._asked(self._redis.unlink(*map(self._key, balances)))

    async def _asked(self, asking: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asking
        except (RedisError, OSError, TimeoutError) as error:
            raise CacheAwayError(repr(error)) from error

    def _key(self, balance: BalanceId) -> str:
        tenant_id, account, asset = balance
        return f"ledger:{self._namespace}:{tenant_id}:{account}:{asset}"

    def _lease(self) -> bytes:
        return self._process + next(self._numbers).to_bytes(8, "big")


def _packed(key: str, view: BalanceView) -> bytes:
    kept = _Kept(
        1,
        key,
        view.normal_side,
        str(view.posted_debits),
        str(view.posted_credits),
        None if view.held is None else str(view.held),
        view.version,
        view.as_of,
    )
    return msgspec.msgpack.encode(kept)


def _unpacked(key: str, balance: BalanceId, value: bytes) -> BalanceView | None:
    """Read a balance; None for bytes that another version of this ledger has left."""
    try:
        kept = _kept.decode(value)
        if kept.key != key:
            return None
        return BalanceView(
            balance[1],
            balance[2],
            kept.normal_side,
            int(kept.posted_debits),
            int(kept.posted_credits),
            None if kept.held is None else int(kept.held),
            kept.version,
            kept.as_of,
        )
    except (msgspec.DecodeError, ValueError):
        return None
