"""F33: three faults at once, of those that do not need the stage for themselves; the seed says which."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import asyncpg

from loadtests.chaos.crew import DownError
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

OF_THE_PROVIDER = {"F24", "F25", "F26"}
"""They tell the provider what to do, or take it away: one of them at a time."""

ROUNDS = 2
TRIES = 2
AT_ONCE = 3
_ALL = (caches, contention, crashes, databases, logs, networks, providers, records, workers)
TOGETHER = tuple(fault for module in _ALL for fault in module.FAULTS if fault.name not in ALONE)
RECOVERY_S = 60.0
MISSED = "did not happen"
KEPT_FROM_IT = (
    DidNotHappenError,
    DownError,
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""Another fault had just then taken away what this one needs; anything else is a finding."""


class TogetherError(RuntimeError):
    """One of several faults failed, and no other had kept it from happening."""


async def _three(stage: Stage, random: Random) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for number in range(1, ROUNDS + 1):
        done[f"{number}"] = await _round(stage, random, _chosen(random))
        await stage.until_recovered(RECOVERY_S)
    missed = [
        f"{name} {each[MISSED]}" for found in done.values() for name, each in found.items() if MISSED in each
    ]
    if missed:
        raise DidNotHappenError("; ".join(missed), done)
    return done


def _chosen(random: Random) -> list[Fault]:
    while True:
        chosen = random.sample(TOGETHER, AT_ONCE)
        if len(OF_THE_PROVIDER & {fault.name for fault in chosen}) < 2:
            return chosen


async def _round(stage: Stage, random: Random, chosen: Sequence[Fault]) -> dict[str, Any]:
    """Have all happen at once; where one kept another from happening, all once more. Raises TogetherError."""
    for _ in range(TRIES):
        seeds = [random.randrange(10**9) for _ in chosen]
        told = await asyncio.gather(
            *(_one(fault.inject, stage, seed) for fault, seed in zip(chosen, seeds, strict=True)),
            return_exceptions=True,  # the others go on and heal what they did
        )
        found = _found([fault.name for fault in chosen], told)
        if not any(MISSED in each for each in found.values()):
            break
        await stage.until_recovered(RECOVERY_S)
    return found


async def _one(inject: Injection, stage: Stage, seed: int) -> dict[str, Any]:
    """Inject one of three; says so if it did not happen."""
    try:
        return await inject(stage, Random(seed))
    except TimeoutError:
        raise
    except KEPT_FROM_IT as error:
        return {MISSED: f"{type(error).__name__}: {str(error)[:200]}"}


def _found(names: Sequence[str], told: Sequence[dict[str, Any] | BaseException]) -> dict[str, dict[str, Any]]:
    """Put together what each did; raises TogetherError where one failed and nothing had kept it from happening."""
    failed = [
        f"{name} {type(each).__name__}: {str(each)[:500]}"
        for name, each in zip(names, told, strict=True)
        if isinstance(each, BaseException)
    ]
    if failed:
        raise TogetherError("; ".join(failed))
    return {name: each for name, each in zip(names, told, strict=True) if isinstance(each, dict)}


FAULTS = (Fault("F33", f"{AT_ONCE} faults at once, {ROUNDS} times", _three),)
