"""How much of the processors and of the memory each part of a stack uses."""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Protocol

import psutil

from streams.embedded.state import ProcessRecord

SAMPLE_S = 0.5
MEMORY_S = 5.0
"""Memory is looked at so rarely: counting shared pages takes the kernel some time."""


class Watched(Protocol):
    """What has processes, which may come and go."""

    def processes(self) -> Iterable[ProcessRecord]: ...


class CpuMeter:
    """Samples processor time, so that processes which were killed count as well; the last sample of each is lost."""

    def __init__(self, stack: Watched, *, sample_s: float = SAMPLE_S) -> None:
        """Sample every `sample_s` seconds: where nothing is killed it may be rarely, for every look takes time."""
        self._stack = stack
        self._sample_s = sample_s
        self._first: dict[tuple[str, int], float] = {}
        self._last: dict[tuple[str, int], float] = {}
        self._seen: dict[tuple[str, int], float] = {}
        self._idle = psutil.cpu_times().idle
        self._begun = monotonic()
        self.memory_mib: dict[str, list[tuple[float, float]]] = defaultdict(list)
        """By part: seconds since the start, and memory. Pages that processes share count in part for each."""

    async def run(self) -> None:
        """Sample until cancelled."""
        self.start()
        looked_at = monotonic()
        while True:
            await asyncio.sleep(self._sample_s)
            self._sample()
            if monotonic() - looked_at >= MEMORY_S:
                self._sample_memory()
                looked_at = monotonic()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["CpuMeter"]:
        """Sample until the block ends."""
        task = asyncio.create_task(self.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._sample()
            self._sample_memory()

    def start(self) -> None:
        """Count from now on; of a process that comes later, all counts."""
        self._sample()
        self._first = dict(self._last)
        self.memory_mib.clear()
        self._idle = psutil.cpu_times().idle
        self._begun = monotonic()

    def stop(self) -> None:
        """Count until now: for who cannot have it sample meanwhile."""
        self._sample()

    def births_s(self) -> dict[str, list[float]]:
        """Say when each process of each part was first seen, in seconds since the start: it has its memory anew."""
        births: dict[str, list[float]] = defaultdict(list)
        for (name, _), seen in self._seen.items():
            births[name].append(max(0.0, round(seen - self._begun, 1)))
        return dict(births)

    def told(self) -> dict[str, float]:
        """Give seconds of processor time by part; `idle` is that of the machine."""
        spent: dict[str, float] = defaultdict(float)
        for (name, pid), seconds in self._last.items():
            spent[name] += seconds - self._first.get((name, pid), 0.0)
        spent["idle"] = psutil.cpu_times().idle - self._idle
        return {name: round(seconds, 1) for name, seconds in sorted(spent.items())}

    def _sample(self) -> None:
        for name, process in self._processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                self._last[name, process.pid] = times.user + times.system
                self._seen.setdefault((name, process.pid), monotonic())

    def _sample_memory(self) -> None:
        used: dict[str, float] = defaultdict(float)
        for name, process in self._processes():
            with suppress(psutil.Error):
                used[name] += process.memory_full_info().pss / 2**20
        at_s = monotonic() - self._begun
        for name, mib in used.items():
            self.memory_mib[name].append((round(at_s, 1), round(mib, 1)))

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        yield "load", psutil.Process(os.getpid())
        children = _children()
        for each in self._stack.processes():
            if each.pid is None:  # killed just now; psutil would take that for this process
                continue
            with suppress(psutil.Error):
                family = [psutil.Process(each.pid)]
                for process in family:
                    yield each.name, process
                    family += [child for child in children.get(process.pid, []) if child not in family]


def _children() -> dict[int, list[psutil.Process]]:
    """Find the children of every process, in one look: a look for each parent takes as long as all that is sampled."""
    found: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found.setdefault(process.ppid(), []).append(process)
    return found
