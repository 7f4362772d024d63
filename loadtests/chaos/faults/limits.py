"""F28: workers that run out of memory, and out of files."""

import asyncio
import resource
from collections.abc import Iterable, Mapping
from contextlib import suppress
from random import Random
from time import monotonic
from typing import Any

import psutil

from loadtests.chaos.fault import DidNotHappenError, Fault
from loadtests.chaos.stage import PAYING, POSTING, WINDOWS, Stage

NO_FILES = 3
OUT_OF_FILES_S = 8.0
OUT_OF_MEMORY_S = 10.0
HUNT_S = 60.0
SPARE_MIB = (0, 0, 2, 4)
"""With none the watchdog soon finds out; with some, first what is large fails, such as a fetch."""


async def _limits(stage: Stage, random: Random) -> dict[str, Any]:
    did = {"files": await _no_files(stage, random), "memory": await _no_memory(stage, random)}
    return met(did)


def met(did: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Give what was done; raises DidNotHappenError where no worker met a limit."""
    missed = [what for what, times in did.items() if not any(times.values())]
    if missed:
        raise DidNotHappenError(f"no worker ran out of {' nor of '.join(missed)}", dict(did))
    return dict(did)


async def _no_files(stage: Stage, random: Random) -> dict[str, int]:
    """Let workers open nothing more, then cut their connections; give it back after a while."""
    pids = _chosen(stage, random, POSTING, PAYING)
    words = "Too many open files"
    before = {name: stage.logged(name, words) for name in pids}
    try:
        for pid in pids.values():
            _limit(pid, resource.RLIMIT_NOFILE, NO_FILES)
        for proxy in stage.proxies.values():
            proxy.reset()
        await asyncio.sleep(OUT_OF_FILES_S)
    finally:
        _give_back(pids, resource.RLIMIT_NOFILE)
    return {name: stage.logged(name, words) - before[name] for name in pids}


async def _no_memory(stage: Stage, random: Random) -> dict[str, int]:
    """Let workers have hardly more memory than they have, or none; who ends of it is started again.

    What they had freed before may do for a while, so it lasts until one has run out, and some seconds more; who has
    come through half of that time with some to spare goes on with none.
    """
    pids = _chosen(stage, random, POSTING, WINDOWS)
    before = _short_of_memory(stage, pids)
    stage.load.press()
    try:
        for spare_mib in (random.choice(SPARE_MIB), 0):
            _leave(pids, spare_mib)
            if await _ran_out(stage, pids, before):
                break
        await asyncio.sleep(OUT_OF_MEMORY_S)
    finally:
        stage.load.begin()
        _give_back(pids, resource.RLIMIT_AS)
    return {name: times - before[name] for name, times in _short_of_memory(stage, pids).items()}


async def _ran_out(stage: Stage, names: Iterable[str], before: Mapping[str, int]) -> bool:
    """Wait until one has run out of memory, for half of the hunt; says whether one has."""
    ends = monotonic() + HUNT_S / 2
    while _short_of_memory(stage, names) == before:
        if monotonic() >= ends:
            return False
        await asyncio.sleep(0.5)
    return True


def _chosen(stage: Stage, random: Random, *kinds: str) -> dict[str, int]:
    """One worker of each kind that is up and may be ended, by its pid."""
    names = [random.choice(victims) for kind in kinds if (victims := stage.victims(kind))]
    return {name: pid for name in names if (pid := stage.crew.record(name).pid)}


def _short_of_memory(stage: Stage, names: Iterable[str]) -> dict[str, int]:
    """How often each has said that it has no memory, or was started again."""
    restarts = stage.restarts()
    return {name: restarts[name] + stage.logged(name, "MemoryError") for name in names}


def _leave(pids: Mapping[str, int], spare_mib: int) -> None:
    """Let processes have no more memory than they have, and some to spare."""
    for pid in pids.values():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            _limit(pid, resource.RLIMIT_AS, psutil.Process(pid).memory_info().vms + spare_mib * 1024**2)


def _limit(pid: int, what: int, soft: int) -> None:
    _, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (soft, hard))


def _give_back(pids: Mapping[str, int], what: int) -> None:
    for pid in pids.values():
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, what)
            resource.prlimit(pid, what, (hard, hard))


FAULTS = (Fault("F28", "out of files, out of memory", _limits),)
