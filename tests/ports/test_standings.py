"""Standings and digests: books in memory and in PostgreSQL give the same, from balances and from entries."""

from random import Random

import pytest
from msgspec.structs import replace

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.standings import MemoryBooksToRead
from ledger.adapters.postgres.standings import PostgresBooksToRead
from ledger.adapters.postgres.types import Pool
from ledger.application.compare_books import BooksToRead, View, digest_standings
from ledger.domain.digest import Standing
from tests.ports.conftest import Bench
from tests.random_events import random_stream


async def digest(books: BooksToRead, tenant: str, view: View) -> bytes:
    async with books.snapshot() as standings:
        return (await digest_standings(standings, view)).tenants[tenant]


async def standings_of(books: BooksToRead, view: View) -> list[Standing]:
    async with books.snapshot() as standings:
        return [each async for page in standings.read(view) for each in page]


@pytest.mark.parametrize("seed", range(3))
async def test_a_view_of_every_books_has_one_digest(
    memory: Bench, postgres: Bench, pool: Pool, seed: int
) -> None:
    assert isinstance(memory.store, MemoryBooks)
    tenant = postgres.tenant
    events = random_stream(Random(seed), 120, tenant=tenant)
    for begin in range(0, len(events), 30):
        await memory.post(*events[begin : begin + 30])
        await postgres.post(*events[begin : begin + 30])
    for view in View:
        ours = await digest(MemoryBooksToRead(memory.store), tenant, view)
        assert await digest(PostgresBooksToRead(pool), tenant, view) == ours


async def test_standings_by_entries_are_the_same_in_every_books(
    memory: Bench, postgres: Bench, pool: Pool
) -> None:
    assert isinstance(memory.store, MemoryBooks)
    events = random_stream(Random(4), 200, tenant=postgres.tenant)
    await memory.post(*events)
    await postgres.post(*events)
    found = [
        [
            each
            for each in await standings_of(books, view)
            if each.tenant == postgres.tenant and not each.is_blank
        ]
        for books in (MemoryBooksToRead(memory.store), PostgresBooksToRead(pool))
        for view in (View.ENTRIES, View.BALANCES)
    ]
    assert found[0] == found[2]
    assert all(each.entries for each in found[0] if each.version)
    assert [replace(each, entries=0) for each in found[0]] == found[1] == found[3]


async def test_lines_and_holds_are_the_same_in_every_books(
    memory: Bench, postgres: Bench, pool: Pool
) -> None:
    assert isinstance(memory.store, MemoryBooks)
    events = random_stream(Random(9), 200, tenant=postgres.tenant)
    await memory.post(*events)
    await postgres.post(*events)
    key = (postgres.tenant, "ann", "USD/2")
    async with (
        MemoryBooksToRead(memory.store).snapshot() as ours,
        PostgresBooksToRead(pool).snapshot() as theirs,
    ):
        assert await ours.entries(key, 2, 5) == await theirs.entries(key, 2, 5) != []
        holds = await ours.holds(key, None, 100)
        assert holds == await theirs.holds(key, None, 100) != []
        assert holds[1:] == await theirs.holds(key, holds[0].event_id, 100)
