"""How much of the processors each part of a stack uses."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress

import psutil

from streams.embedded.stack import EmbeddedStack

SAMPLE_S = 0.5


class CpuMeter:
    """Samples processor time, so that processes which were killed count as well; the last sample of each is lost."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._stack = stack
        self._first: dict[tuple[str, int], float] = {}
        self._last: dict[tuple[str, int], float] = {}
        self._idle = psutil.cpu_times().idle

    async def run(self) -> None:
        """Sample until cancelled."""
        self._sample()
        self._first = dict(self._last)
        while True:
            await asyncio.sleep(SAMPLE_S)
            self._sample()

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

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        yield "load", psutil.Process(os.getpid())
        for each in self._stack.processes():
            if each.pid is None:  # killed just now; psutil would take that for this process
                continue
            with suppress(psutil.Error):
                process = psutil.Process(each.pid)
                yield each.name, process
                yield from ((each.name, child) for child in process.children(recursive=True))
