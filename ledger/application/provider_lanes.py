"""Lanes: so many payments at a time for each provider, so that one that hangs holds up neither others nor claims."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

LaneName = tuple[str, str]
"""A tenant and one of its providers; for what asks no provider, the name is empty."""


@dataclass(slots=True)
class _Lane:
    slots: asyncio.Semaphore
    payments: int = 0


class ProviderLanes:
    """Work on payments as tasks, each in its provider's lane; a full lane takes no more."""

    def __init__(
        self, payments_max: int, calls_max: int, failed: Callable[[BaseException], None] = lambda fault: None
    ) -> None:
        self._payments_max = payments_max
        self._failed = failed
        self._lanes: defaultdict[LaneName, _Lane] = defaultdict(lambda: _Lane(asyncio.Semaphore(calls_max)))
        self._tasks: set[asyncio.Task[None]] = set()

    def takes(self, name: LaneName) -> bool:
        """Tell whether a lane takes one more payment."""
        return name not in self._lanes or self._lanes[name].payments < self._payments_max

    def is_empty(self, name: LaneName) -> bool:
        """Tell whether nothing is worked on in a lane."""
        return name not in self._lanes or not self._lanes[name].payments

    def begin(self, name: LaneName, work: Coroutine[Any, Any, None]) -> None:
        """Begin work in a lane."""
        lane = self._lanes[name]
        lane.payments += 1
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, lane))

    @asynccontextmanager
    async def slot(self, name: LaneName, wait_s: float) -> AsyncIterator[bool]:
        """Hold one of the provider's slots inside; False where none came free in time."""
        slots = self._lanes[name].slots
        try:
            async with asyncio.timeout(wait_s):
                await slots.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            slots.release()

    @property
    def busy(self) -> int:
        """How many payments are worked on."""
        return len(self._tasks)

    async def finish(self, within_s: float) -> None:
        """Wait for what was begun; what takes longer is given up, and found again when it is due."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _done(self, lane: _Lane, task: "asyncio.Task[None]") -> None:
        lane.payments -= 1
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._failed(fault)
