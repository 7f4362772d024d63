"""Books in schemas of one database beside each other: their digests, and what differs between them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.standings import PostgresBooksToRead
from ledger.application.compare_books import CompareBooks, Comparison, View, digest_standings
from ledger.config import Settings
from ledger.domain.digest import BooksDigest
from streams.embedded.addresses import find_postgres
from streams.replay.stages import of_schema


@asynccontextmanager
async def to_read(settings: Settings, dsn: str) -> AsyncIterator[PostgresBooksToRead]:
    """Open the books of `settings` to be read."""
    pool = await open_pool(dsn, settings, size=1, name="ledger-compare")
    try:
        yield PostgresBooksToRead(pool)
    finally:
        await pool.close()


async def compare_schemas(
    settings: Settings, left: str, right: str, view: View = View.BALANCES, progress: Any = None
) -> Comparison:
    """Compare the books in two schemas of the database."""
    dsn = find_postgres(settings)
    async with (
        to_read(of_schema(settings, left), dsn) as ours,
        to_read(of_schema(settings, right), dsn) as theirs,
        ours.snapshot() as left_standings,
        theirs.snapshot() as right_standings,
    ):
        return await CompareBooks(left_standings, right_standings, progress=progress)(view)


async def digest_schema(settings: Settings, schema: str, view: View) -> BooksDigest:
    """Digest the books in a schema of the database."""
    async with (
        to_read(of_schema(settings, schema), find_postgres(settings)) as books,
        books.snapshot() as standings,
    ):
        return await digest_standings(standings, view)
