"""F33: three faults at once, of those that do not need the stage for themselves; the seed says which."""

import asyncio
from random import Random
from typing import Any

from loadtests.chaos.fault import Fault, Injection
from loadtests.chaos.faults import (
    caches,
    contention,
    crashes,
    databases,
    logs,
    networks,
    providers,
    records,
    workers,
)
from loadtests.chaos.stage import Stage

ALONE = {"F9", "F10", "F15", "F23", "F32"}
"""They measure something that others would spoil, or take long."""

ROUNDS = 2
AT_ONCE = 3
_ALL = (caches, contention, crashes, databases, logs, networks, providers, records, workers)
TOGETHER = tuple(fault for module in _ALL for fault in module.FAULTS if fault.name not in ALONE)
RECOVERY_S = 60.0


async def _three(stage: Stage, random: Random) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for number in range(1, ROUNDS + 1):
        chosen = random.sample(TOGETHER, AT_ONCE)
        seeds = [random.randrange(10**9) for _ in chosen]
        found = await asyncio.gather(
            *(_one(fault.inject, stage, seed) for fault, seed in zip(chosen, seeds, strict=True))
        )
        done[f"{number}"] = dict(zip((fault.name for fault in chosen), found, strict=True))
        await stage.until_recovered(RECOVERY_S)
    return done


async def _one(inject: Injection, stage: Stage, seed: int) -> dict[str, Any]:
    """Inject one of three: that another kept it from happening is told, and is no fault of the ledger's."""
    try:
        return await inject(stage, Random(seed))
    except Exception as error:  # what the ledger makes of it is judged, not whether each of three succeeded
        return {"did not happen": f"{type(error).__name__}: {str(error)[:200]}"}


FAULTS = (Fault("F33", f"{AT_ONCE} faults at once, {ROUNDS} times", _three),)
