"""A bulkhead: so many calls at a time and no more, so that one who hangs holds up nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class NoSlotError(Exception):
    """All slots stayed taken for as long as a call may wait."""


class Bulkhead:
    """Slots for calls; who finds none waits for a short time, then is turned away."""

    def __init__(self, slots: int, wait_s: float) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._wait_s = wait_s

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot inside; raises NoSlotError."""
        if self._slots.locked():
            await self._wait()
        else:
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slots.acquire()
        except TimeoutError as fault:
            raise NoSlotError(f"no slot for {self._wait_s} s") from fault
