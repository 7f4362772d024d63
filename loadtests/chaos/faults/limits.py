"""F28: workers that run out of memory, and out of files."""

import asyncio
import resource
from random import Random
from typing import Any

import psutil

from loadtests.chaos.fault import Fault
from loadtests.chaos.stage import PAYING, POSTING, WINDOWS, Stage

NO_FILES = 3
OUT_OF_FILES_S = 8.0
OUT_OF_MEMORY_S = 15.0
SPARE_BYTES = 1024 * 1024


async def _limits(stage: Stage, random: Random) -> dict[str, Any]:
    return {"files": await _no_files(stage, random), "memory": await _no_memory(stage, random)}


async def _no_files(stage: Stage, random: Random) -> list[str]:
    """Let workers open nothing more, then cut their connections; give it back after a while."""
    names = [random.choice(stage.crew.names(kind)) for kind in (POSTING, PAYING)]
    pids = {name: pid for name in names if (pid := stage.crew.record(name).pid)}
    for pid in pids.values():
        _limit(pid, resource.RLIMIT_NOFILE, NO_FILES)
    for proxy in stage.proxies.values():
        proxy.reset()
    await asyncio.sleep(OUT_OF_FILES_S)
    for pid in pids.values():
        if psutil.pid_exists(pid):
            _unlimit(pid, resource.RLIMIT_NOFILE)
    return names


async def _no_memory(stage: Stage, random: Random) -> dict[str, int]:
    """Let workers have hardly more memory than they have; who dies of it is started again."""
    before = stage.restarts()
    names = [random.choice(stage.crew.names(kind)) for kind in (POSTING, WINDOWS)]
    pids = [pid for name in names if (pid := stage.crew.record(name).pid)]
    for pid in pids:
        _limit(pid, resource.RLIMIT_AS, psutil.Process(pid).memory_info().vms + SPARE_BYTES)
    stage.load.pace(times=4.0)
    try:
        await asyncio.sleep(OUT_OF_MEMORY_S)
    finally:
        stage.load.begin()
    for pid in pids:
        if psutil.pid_exists(pid):
            _unlimit(pid, resource.RLIMIT_AS)
    after = stage.restarts()
    return {name: after[name] - before[name] for name in names}


def _limit(pid: int, what: int, soft: int) -> None:
    _, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (soft, hard))


def _unlimit(pid: int, what: int) -> None:
    _, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (hard, hard))


FAULTS = (Fault("F28", "out of files, out of memory", _limits),)
