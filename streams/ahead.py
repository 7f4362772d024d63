"""The next item made while this one is dealt with: one ahead, and no more."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

Item = TypeVar("Item")


async def one_ahead(items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
    """Give the items in order, and what making one raises in its place; close it with `aclosing`."""
    following = _next_of(items)
    try:
        while found := await following:
            following = _next_of(items)
            yield found[0]
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await items.aclose()


def _next_of(items: AsyncGenerator[Item, None]) -> "asyncio.Task[tuple[Item] | None]":
    return asyncio.create_task(_wrapped(items))


async def _wrapped(items: AsyncGenerator[Item, None]) -> tuple[Item] | None:
    """Give the next item in a tuple of its own, as an item may be None; None: there is none."""
    async for item in items:
        return (item,)
    return None
