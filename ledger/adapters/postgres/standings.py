"""Snapshots of the books in PostgreSQL, to be digested and compared."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ledger.adapters.postgres.connection import LONG_S, transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.compare_books import EntryLine, HoldLine, View
from ledger.domain.account import BalanceKey
from ledger.domain.digest import Standing

PAGE_STANDINGS = 5000

_LIMITS = """
    set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0;
    set local work_mem = '64MB'
"""


class PostgresBooksToRead:
    """BooksToRead over a pool; a snapshot is one repeatable-read transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["PostgresStandings"]:
        with transient_faults():
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute(_LIMITS)
                yield PostgresStandings(connection)


class PostgresStandings:
    """Standings as one connection sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, view: View) -> AsyncIterator[Sequence[Standing]]:
        cursor: Any = await self._connection.cursor(sql(f"standings_of_{view}"), timeout=LONG_S)
        while rows := await cursor.fetch(PAGE_STANDINGS, timeout=LONG_S):
            yield [_standing(row) for row in rows]

    async def entries(self, of: BalanceKey, after: int, limit: int) -> Sequence[EntryLine]:
        rows = await self._connection.fetch(sql("lines_of_standing"), *of, after, limit)
        return [EntryLine(*row) for row in rows]

    async def holds(self, of: BalanceKey, after: str | None, limit: int) -> Sequence[HoldLine]:
        rows = await self._connection.fetch(sql("holds_of_standing"), *of, after, limit, timeout=LONG_S)
        return [HoldLine(*row) for row in rows]

    async def positions(self, topic: str) -> dict[int, int]:
        rows = await self._connection.fetch(sql("audit_positions"), topic)
        return {row["partition"]: row["next_offset"] for row in rows}


def _standing(row: Any) -> Standing:
    return Standing(
        row["tenant"],
        row["account"],
        row["asset"],
        int(row["posted_debits"]),
        int(row["posted_credits"]),
        int(row["held"]),
        row["version"],
        int(row["entries"]),
    )
