"""Long work without a wait in it, done in turns with whatever else the loop has to do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

AT_ONCE = 100
"""About a millisecond of decoding or encoding: a batch that holds locks meanwhile waits no longer for its turn."""

LONG = 2000
"""From so many items on, work is long: so much of a partition comes at once only where it lags behind."""

Item = TypeVar("Item")


async def in_turns(items: Sequence[Item], at_once: int = AT_ONCE) -> AsyncIterator[Sequence[Item]]:
    """Give the items some at a time, and let others run in between."""
    for start in range(0, len(items), at_once):
        if start:
            await asyncio.sleep(0)
        yield items[start : start + at_once]


class LongWork:
    """Long work beside that of batches: one piece of it at a time, and none while a batch has all its locks.

    Another worker may wait for those locks, and nobody for decoding or encoding: done at the same time they would only
    take turns away from the batch. What is shorter comes where nothing lags behind: somebody may wait for it, and it is
    not put off.
    """

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._holders = 0
        self._is_due = asyncio.Event()
        self._is_due.set()

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Have it wait while the block runs."""
        self._holders += 1
        self._is_due.clear()
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._is_due.set()

    async def do(self, items: Sequence[Item], step: Callable[[Sequence[Item]], None]) -> None:
        """Do `step` with all items, some at a time, when it is due."""
        if len(items) < LONG:
            async for some in in_turns(items):
                step(some)
            return
        async with self._one_at_a_time:
            async for some in in_turns(items):
                await self._is_due.wait()
                step(some)
