"""What the stream's windows are made of, read from the books in one snapshot: for a changelog that was lost."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from ledger.adapters.postgres.connection import LONG_S, transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.windows import window_of_row
from ledger.domain.aging import Standing
from ledger.domain.moments import microseconds
from ledger.domain.window import Window, WindowSize

BALANCES_AT_ONCE = 200


class Source(NamedTuple):
    """A balance with entries, and when its last was posted, in microseconds since 1970."""

    tenant_id: int
    balance_id: int
    tenant: str
    account: str
    asset: str
    normal_side: Any
    last_posted_at_us: int


class Made(NamedTuple):
    """A window of a source; without a size it is the source's whole life. `start` in seconds since 1970."""

    source: Source
    size: WindowSize | None
    start: int
    window: Window


class WindowSource:
    """One snapshot of the books; raises TransientFaultError."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, pool: Any) -> AsyncIterator["WindowSource"]:
        with transient_faults():
            async with (
                pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute("set local statement_timeout = 0")
                yield cls(connection)

    async def count(self) -> int:
        """Count the balances that have entries."""
        found: int = await self._connection.fetchval(
            "select count(*) from balances where version > 0", timeout=LONG_S
        )
        return found

    async def sources(self) -> AsyncIterator[Sequence[Source]]:
        """Read all balances that have entries, some at a time."""
        cursor = await self._connection.cursor(sql("rebuild_sources"), timeout=LONG_S)
        while rows := await cursor.fetch(BALANCES_AT_ONCE, timeout=LONG_S):
            yield [_source(row) for row in rows]

    async def windows(self, sources: Sequence[Source], standings: Sequence[Standing]) -> list[Made]:
        """Work out what stands of each source, its windows before its life."""
        rows = await self._connection.fetch(
            sql("rebuild_windows"),
            [source.tenant_id for source in sources],
            [source.balance_id for source in sources],
            [standing.minutes_from for standing in standings],
            [standing.hours_from for standing in standings],
            [standing.days_from for standing in standings],
            timeout=LONG_S,
        )
        made = [_made(sources[row["place"]], row) for row in rows if row["is_life"] or row["size"]]
        return sorted(made, key=lambda each: each.size is None)


def _source(row: Any) -> Source:
    facts = dict(row)
    return Source(last_posted_at_us=microseconds(facts.pop("last_posted_at")), **facts)


def _made(source: Source, row: Any) -> Made:
    window = window_of_row(row, source.normal_side)
    size = None if row["is_life"] else WindowSize(row["size"])
    return Made(source, size, row["start"] or 0, window)
