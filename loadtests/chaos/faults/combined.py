"""F33: three faults at once, of those that do not need the stage for themselves; the seed says which."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

from loadtests.chaos.fault import DidNotHappenError, Fault, Injection
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
TRIES = 2
AT_ONCE = 3
_ALL = (caches, contention, crashes, databases, logs, networks, providers, records, workers)
TOGETHER = tuple(fault for module in _ALL for fault in module.FAULTS if fault.name not in ALONE)
RECOVERY_S = 60.0
MISSED = "did not happen"


async def _three(stage: Stage, random: Random) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for number in range(1, ROUNDS + 1):
        done[f"{number}"] = await _round(stage, random, random.sample(TOGETHER, AT_ONCE))
        await stage.until_recovered(RECOVERY_S)
    missed = [
        f"{name} {each[MISSED]}" for found in done.values() for name, each in found.items() if MISSED in each
    ]
    if missed:
        raise DidNotHappenError("; ".join(missed), done)
    return done


async def _round(stage: Stage, random: Random, chosen: Sequence[Fault]) -> dict[str, Any]:
    """Have all happen at once; where one kept another from happening, all once more."""
    for _ in range(TRIES):
        seeds = [random.randrange(10**9) for _ in chosen]
        told = await asyncio.gather(
            *(_one(fault.inject, stage, seed) for fault, seed in zip(chosen, seeds, strict=True))
        )
        found = dict(zip((fault.name for fault in chosen), told, strict=True))
        if not any(MISSED in each for each in told):
            break
        await stage.until_recovered(RECOVERY_S)
    return found


async def _one(inject: Injection, stage: Stage, seed: int) -> dict[str, Any]:
    """Inject one of three; says so if it did not happen."""
    try:
        return await inject(stage, Random(seed))
    except Exception as error:  # the others go on, and what the ledger makes of them is judged
        return {MISSED: f"{type(error).__name__}: {str(error)[:200]}"}


FAULTS = (Fault("F33", f"{AT_ONCE} faults at once, {ROUNDS} times", _three),)
