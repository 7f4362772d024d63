"""Long work without a wait in it, done in turns with whatever else the loop has to do."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

AT_ONCE = 100
"""About a millisecond of decoding or encoding: a batch that holds locks meanwhile waits no longer for its turn."""

Item = TypeVar("Item")


async def in_turns(items: Sequence[Item], at_once: int = AT_ONCE) -> AsyncIterator[Sequence[Item]]:
    """Give the items some at a time, and let others run in between."""
    for start in range(0, len(items), at_once):
        if start:
            await asyncio.sleep(0)
        yield items[start : start + at_once]
