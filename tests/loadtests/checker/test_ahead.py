"""What is asked for while something before it is looked at comes in order, and ends with whoever takes it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from loadtests.chaos.checker.ahead import ahead


class Maker:
    """Makes batches, and writes down what it was asked for, and its end."""

    def __init__(self, count: int, fails_at: int | None = None) -> None:
        self.made: list[str] = []
        self._count = count
        self._fails_at = fails_at

    async def batches(self) -> AsyncIterator[list[int]]:
        try:
            for number in range(self._count):
                if number == self._fails_at:
                    raise ConnectionError("gone")
                self.made.append(f"begun {number}")
                await asyncio.sleep(0)
                yield [number]
        finally:
            self.made.append("ended")


async def test_all_batches_come_in_order() -> None:
    assert [batch async for batch in ahead(Maker(4).batches())] == [[0], [1], [2], [3]]
    assert [batch async for batch in ahead(Maker(0).batches())] == []


async def test_the_next_batch_is_under_way_while_one_is_looked_at() -> None:
    maker = Maker(3)
    async with aclosing(ahead(maker.batches())) as batches:
        assert await anext(batches) == [0]
        assert maker.made == ["begun 0", "begun 1"]


async def taken_of(batches: AsyncIterator[list[int]], into: list[list[int]], fails_at: int = -1) -> None:
    """Take what is made, until something fails: the making, or this."""
    async with aclosing(ahead(batches)) as coming:
        async for batch in coming:
            into.append(batch)
            if batch == [fails_at]:
                raise ZeroDivisionError


async def test_what_fails_in_the_making_reaches_who_takes() -> None:
    taken = list[list[int]]()
    with pytest.raises(ConnectionError, match="gone"):
        await taken_of(Maker(4, fails_at=2).batches(), taken)
    assert taken == [[0], [1]]


async def test_a_taker_that_fails_ends_the_making() -> None:
    maker, taken = Maker(100), list[list[int]]()
    with pytest.raises(ZeroDivisionError):
        await taken_of(maker.batches(), taken, fails_at=1)
    assert taken == [[0], [1]]
    assert maker.made == ["begun 0", "begun 1", "begun 2", "ended"]
