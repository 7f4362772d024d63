"""F28: workers that run out of memory, and out of files."""

import asyncio
import resource
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import psutil

from loadtests.chaos.fault import DidNotHappenError, Fault
from loadtests.chaos.stage import PAYING, POSTING, WINDOWS, Stage

NO_FILES = 3
OUT_OF_FILES_S = 8.0
OUT_OF_MEMORY_S = 15.0
SPARE_BYTES = 1024 * 1024


class Logs:
    """What workers log from now on."""

    def __init__(self, directory: Path, names: Iterable[str]) -> None:
        paths = {name: directory / f"{name}.log" for name in names}
        self._begun = {name: (path, path.stat().st_size) for name, path in paths.items()}

    def count(self, words: bytes) -> dict[str, int]:
        """How often each says so."""
        return {name: path.read_bytes()[size:].count(words) for name, (path, size) in self._begun.items()}


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
    names = [random.choice(stage.crew.names(kind)) for kind in (POSTING, PAYING)]
    pids = {name: pid for name in names if (pid := stage.crew.record(name).pid)}
    logs = Logs(stage.state.logs, names)
    for pid in pids.values():
        _limit(pid, resource.RLIMIT_NOFILE, NO_FILES)
    for proxy in stage.proxies.values():
        proxy.reset()
    await asyncio.sleep(OUT_OF_FILES_S)
    for pid in pids.values():
        if psutil.pid_exists(pid):
            _unlimit(pid, resource.RLIMIT_NOFILE)
    return logs.count(b"Too many open files")


async def _no_memory(stage: Stage, random: Random) -> dict[str, int]:
    """Let workers have hardly more memory than they have; who dies of it is started again."""
    names = [random.choice(stage.crew.names(kind)) for kind in (POSTING, WINDOWS)]
    before, logs = stage.restarts(), Logs(stage.state.logs, names)
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
    after, said = stage.restarts(), logs.count(b"MemoryError")
    return {name: after[name] - before[name] + said[name] for name in names}


def _limit(pid: int, what: int, soft: int) -> None:
    _, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (soft, hard))


def _unlimit(pid: int, what: int) -> None:
    _, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (hard, hard))


FAULTS = (Fault("F28", "out of files, out of memory", _limits),)
