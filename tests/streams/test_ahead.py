"""The next item is made while this one is dealt with; one, and no more."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from streams.ahead import one_ahead

MADE = [[], [1], [2, 3]]
"""The first is empty, and an item nevertheless."""


class Maker:
    def __init__(self, fails_after: int | None = None) -> None:
        self.made: list[list[int]] = []
        self.closed = False
        self._fails_after = fails_after

    async def items(self) -> AsyncGenerator[list[int], None]:
        try:
            for item in MADE:
                if len(self.made) == self._fails_after:
                    raise OSError("away")
                self.made.append(item)
                yield item
        finally:
            self.closed = True


async def test_every_item_comes_in_order() -> None:
    async with aclosing(one_ahead(Maker().items())) as items:
        assert [item async for item in items] == MADE


async def test_one_is_made_while_one_is_dealt_with_and_no_more() -> None:
    maker = Maker()
    async with aclosing(one_ahead(maker.items())) as items:
        await anext(items)
        for _ in range(5):
            await asyncio.sleep(0)
        assert maker.made == MADE[:2]


async def test_what_making_raises_comes_in_its_place() -> None:
    async with aclosing(one_ahead(Maker(fails_after=2).items())) as items:
        assert [await anext(items), await anext(items)] == MADE[:2]
        with pytest.raises(OSError, match="away"):
            await anext(items)


async def test_who_leaves_early_leaves_nothing_behind() -> None:
    maker = Maker()
    before = asyncio.all_tasks()
    async with aclosing(one_ahead(maker.items())) as items:
        await anext(items)
    assert maker.closed
    assert asyncio.all_tasks() == before
