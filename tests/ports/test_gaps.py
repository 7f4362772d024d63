"""The books' positions moved past a gap, in memory and in PostgreSQL alike."""

import itertools

import pytest

from ledger.adapters.memory.books import Contents
from ledger.adapters.memory.gaps import MemoryPositions
from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.gaps import PostgresPositions
from ledger.adapters.postgres.types import Pool
from ledger.application.gaps import Acceptance, BooksMovedError, BooksPositions, Gap, Remedy
from tests.builders import NOW

_numbers = itertools.count()

ACCEPTANCE = Acceptance("kept too short", "ann", NOW)


class Stood:
    """Positions of a topic of their own, where the books stand at 5 in partition 0 and at 7 in partition 1."""

    def __init__(self, topic: str, positions: BooksPositions) -> None:
        self.topic = topic
        self.positions = positions

    async def accept(self, first: int, after: int) -> None:
        await self.positions.accept(Gap(self.topic, 0, first, after, Remedy.ACCEPT), ACCEPTANCE)


@pytest.fixture(params=["memory", "postgres"])
async def stood(request: pytest.FixtureRequest, pool: Pool) -> Stood:
    topic, begins = f"gaps-{next(_numbers)}", {0: 5, 1: 7}
    if request.param == "memory":
        contents = Contents(positions={(topic, at): first for at, first in begins.items()})
        return Stood(topic, MemoryPositions(contents))
    await PostgresBooks(pool).begin(topic, begins)
    return Stood(topic, PostgresPositions(pool))


async def test_books_go_past_the_gap(stood: Stood) -> None:
    await stood.accept(5, 9)
    assert await stood.positions.positions(stood.topic) == {0: 9, 1: 7}


@pytest.mark.parametrize("first", [4, 6])
async def test_books_that_stand_elsewhere_are_left_there(stood: Stood, first: int) -> None:
    with pytest.raises(BooksMovedError):
        await stood.accept(first, 9)
    assert await stood.positions.positions(stood.topic) == {0: 5, 1: 7}


async def test_deed_is_kept(pool: Pool) -> None:
    topic = f"gaps-{next(_numbers)}"
    await PostgresBooks(pool).begin(topic, {0: 5})
    await PostgresPositions(pool).accept(Gap(topic, 0, 5, 9, Remedy.ACCEPT), ACCEPTANCE)
    kept = await pool.fetch(
        "select first_offset, next_offset, why, done_by, at from accepted_gaps where topic = $1", topic
    )
    assert [tuple(row) for row in kept] == [(5, 9, "kept too short", "ann", NOW)]
