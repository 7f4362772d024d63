"""F9 and F32: rows locked in the opposite order on hot accounts, and a tenant at many times its share."""

import asyncio
from contextlib import suppress
from random import Random
from time import monotonic
from typing import Any

import asyncpg

from loadtests.chaos.fault import DidNotHappenError, Fault
from loadtests.chaos.stage import Stage
from loadtests.chaos.traffic import USUAL

LOCKING_S = 25.0
HELD_S = 0.2
NOISE_S = 15.0
NOISE_TIMES = 50
HOT = {"bank": 300.0}
_IN_REVERSE = """
select balance_id from balances join tenants using (tenant_id) where tenants.code = 'bank' order by balance_id desc
"""
_LOCK = """
select from balances
where balance_id = $1 and tenant_id = (select tenant_id from tenants where code = 'bank') for update
"""
_DEADLOCKS = "select sum(deadlocks)::bigint as n from pg_stat_database"


async def _deadlocks(stage: Stage, random: Random) -> dict[str, Any]:
    """Lock the hot balances in the opposite order, as somebody by hand might: the workers go on."""
    before = await _counted(stage)
    stage.load.pace(weights=HOT)
    ends, locked = monotonic() + LOCKING_S, 0
    try:
        while monotonic() < ends:
            locked += await _lock_in_reverse(stage)
    finally:
        stage.load.begin()
    await asyncio.sleep(2.0)
    deadlocks = await _counted(stage) - before
    if not deadlocks:
        raise DidNotHappenError(f"{locked} rows were locked in reverse, and nothing was dead locked")
    return {"locked": locked, "deadlocks": deadlocks}


async def _lock_in_reverse(stage: Stage) -> int:
    """Lock one row after another until all are, or PostgreSQL ends it as a deadlock; says how many were."""
    locked = 0
    async with stage.connection() as connection:
        rows = [row["balance_id"] for row in await connection.fetch(_IN_REVERSE)]
        with suppress(asyncpg.DeadlockDetectedError):
            async with connection.transaction():
                for row in rows:
                    await connection.execute(_LOCK, row, timeout=30)
                    locked += 1
                    await asyncio.sleep(HELD_S)
    return locked


async def _counted(stage: Stage) -> int:
    return int((await stage.sql(_DEADLOCKS))[0]["n"])


async def _noisy(stage: Stage, random: Random) -> dict[str, Any]:
    """Have one tenant send as much as fifty of the bank's size, while all others send what they always send."""
    usual = sum(USUAL.values())
    noise = NOISE_TIMES * USUAL["bank"]
    times = (usual + noise) / usual
    before = stage.load.told.sent
    stage.load.pace(times=times, weights={"noisy": noise})
    try:
        await asyncio.sleep(NOISE_S)
    finally:
        stage.load.begin()
    return {"records": stage.load.told.sent - before, "times": round(times, 1), "for_s": NOISE_S}


FAULTS = (
    Fault("F9", "deadlocks on hot accounts", _deadlocks),
    Fault("F32", f"one tenant at {NOISE_TIMES} times its share", _noisy),
)
