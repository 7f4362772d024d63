"""The books in PostgreSQL as a batch would find them, read in one snapshot without a lock and without a trace."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.directory import Directory, Tenant
from ledger.adapters.postgres.locking import Locking, Turn
from ledger.adapters.postgres.precedents import PostgresPrecedents
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.domain.books import Books, EventKey, Needs
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier

_LOCKING = re.compile(r"\bfor (?:update|share)(?: of \w+)?\b")


class PostgresPeek:
    """Books to look at, over one repeatable-read transaction; whoever comes waits for whoever is looking."""

    def __init__(self, connection: Connection, pool: Pool, *, auto_open: bool) -> None:
        self._connection = _Unlocked(connection)
        self._directory = _FixedDirectory(pool, auto_open=auto_open, remember=200_000)
        self._precedents = PostgresPrecedents(self._connection)  # type: ignore[arg-type]

    @classmethod
    @asynccontextmanager
    async def open(cls, pool: Pool, *, auto_open: bool = True) -> AsyncIterator["PostgresPeek"]:
        with transient_faults():
            async with (
                pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute("set local idle_in_transaction_session_timeout = 0")
                yield cls(connection, pool, auto_open=auto_open)

    async def look(self, needs: Needs) -> Books:
        """Read what a batch with these needs would lock."""
        with transient_faults():
            async with self._connection.acquire() as connection:
                tenants = await self._directory.tenants(connection, needs.tenants)
                return await Locking(connection, self._directory, tenants, needs, Turn(asyncio.Lock())).run()

    async def of(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        """Give what the books know of ids."""
        return await self._precedents.of(events)

    async def positions(self, topic: str) -> dict[int, int]:
        """Give, by partition, the offset before which all is handled."""
        async with self._connection.acquire() as connection:
            rows = await connection.fetch(sql("audit_positions"), topic)
        return {row["partition"]: row["next_offset"] for row in rows}


def without_locks(statement: str) -> str:
    """Give a statement that reads the same and locks nothing."""
    return _LOCKING.sub("", statement)


class _Unlocked:
    """A connection, or a pool of that one, whose statements take no locks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        async with self._turn:
            yield self

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        return await self._connection.fetch(without_locks(statement), *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        return await self._connection.fetchrow(without_locks(statement), *arguments)


class _FixedDirectory(Directory):
    """Makes up tenants that are not there, under numbers that no tenant has."""

    def __init__(self, pool: Pool, *, auto_open: bool, remember: int) -> None:
        super().__init__(pool, auto_open=auto_open, remember=remember)
        self._fallback = auto_open
        self._made_up: dict[str, Tenant] = {}

    async def tenants(self, connection: Connection, codes: Iterable[str]) -> dict[str, Tenant]:
        wanted = set(codes)
        rows = await connection.fetch(sql("find_tenants"), sorted(wanted - self._made_up.keys()))
        found = {row["code"]: Tenant(row["tenant_id"], row["code"], row["auto_open"]) for row in rows}
        for code in wanted - found.keys() - self._made_up.keys():
            self._made_up[code] = Tenant(-1 - len(self._made_up), code, self._fallback)
        return found | {code: self._made_up[code] for code in wanted & self._made_up.keys()}
