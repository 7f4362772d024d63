"""The audit chain in PostgreSQL: it grows under a lock of each tenant's head, and is read from one snapshot."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from ledger.adapters.postgres.chain_rows import Accounts, joined, link_of, read_lines, transaction_of
from ledger.adapters.postgres.connection import LONG_S, end, transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.chain import Appended, ChainDamagedError, Linked
from ledger.domain.books import EventKey
from ledger.domain.chain import ChainedTransaction, Head, Link, extend, first_head

PAGE_KEYS = 2000
ACCOUNTS_KEPT_MAX = 50_000
"""Of one snapshot, in which none changes: those of the page before are likely to be those of the next."""

_COLUMNS = ("tenant_id", "number", "event_id", "digest", "hash", "late")

_BEGINNING = datetime.min.replace(tzinfo=UTC)

_HELD = "declare unlinked cursor with hold for "

_LIMITS = """
    set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0;
    set local work_mem = '64MB'
"""


class PostgresChainStore:
    """A ChainStore over a pool in the worker's role; `unlinked` keeps one connection while it is read.

    `horizon`: nothing is posted whose id is older than this at that time, as far as the settings were never others.
    """

    def __init__(self, pool: Pool, *, horizon: timedelta = timedelta(days=90)) -> None:
        self._pool = pool
        self._horizon = horizon

    async def append(self, keys: Sequence[EventKey], *, late: bool = False) -> Appended:
        if not keys:
            return Appended(0)
        with transient_faults():
            async with self._pool.acquire() as connection:
                tenants = await _tenants_of(connection, keys)
                try:
                    # Without the lock, so that other chunks of the tenant are not kept waiting meanwhile.
                    found = await _read(connection, keys, tenants)
                    async with connection.transaction():
                        return await _link(connection, found, tenants, late)
                except asyncpg.UniqueViolationError:
                    # Another worker linked some of them since. Under the lock nobody does.
                    async with connection.transaction():
                        await _see_ends(connection, tenants)
                        found = await _read(connection, keys, tenants)
                        return await _link(connection, found, tenants, late)

    async def complete_before(self) -> datetime | None:
        with transient_faults():
            async with self._pool.acquire() as connection:
                return await _complete_before(connection)

    async def unlinked(
        self, since: datetime | None, before: datetime
    ) -> AsyncGenerator[Sequence[EventKey], None]:
        with transient_faults():
            async with self._pool.acquire() as connection:
                # What is older than the chain was posted under settings that nobody remembers.
                horizon = None if since is None else self._horizon
                await _hold_unlinked(connection, since or _BEGINNING, before, horizon)
                try:
                    while rows := await connection.fetch(f"fetch {PAGE_KEYS} from unlinked", timeout=LONG_S):
                        yield [(row["tenant"], row["event_id"]) for row in rows]
                finally:
                    await connection.execute("close unlinked")

    async def begin_sweep(self) -> datetime:
        with transient_faults():
            async with self._pool.acquire() as connection:
                mark: datetime = await connection.fetchval(sql("begin_sweep"))
                return mark

    async def complete(self, before: datetime, mark: datetime) -> None:
        with transient_faults():
            async with self._pool.acquire() as connection:
                await connection.execute(sql("complete_chains"), before, mark)

    async def lower(self, at: datetime) -> None:
        with transient_faults():
            async with self._pool.acquire() as connection:
                await connection.execute(sql("lower_chains"), at)


async def _hold_unlinked(
    connection: Connection, since: datetime, before: datetime, horizon: timedelta | None
) -> None:
    """Find them in one transaction and keep them after it: a snapshot as old as the catching up hinders vacuum."""
    try:
        await connection.execute("begin isolation level repeatable read read only")
        await connection.execute(_LIMITS)
        await connection.execute(_HELD + sql("find_unlinked"), since, before, horizon, timeout=LONG_S)
        await connection.execute("commit", timeout=LONG_S)
    except BaseException:
        end(connection)
        raise


async def _complete_before(connection: Connection) -> datetime | None:
    found: datetime | None = await connection.fetchval(sql("read_chain_progress"))
    return found


class _Found(NamedTuple):
    """What is to be linked, by the numbers of tenants, and what the books do not have."""

    transactions: Mapping[int, Sequence[ChainedTransaction]]
    unknown: Sequence[EventKey]


async def _tenants_of(connection: Connection, keys: Sequence[EventKey]) -> dict[int, str]:
    rows = await connection.fetch(sql("find_tenants"), sorted({tenant for tenant, _ in keys}))
    return {row["tenant_id"]: row["code"] for row in rows}


async def _read(connection: Connection, keys: Sequence[EventKey], tenants: Mapping[int, str]) -> _Found:
    """Read what has no link yet."""
    ids = {code: tenant_id for tenant_id, code in tenants.items()}
    known = [key for key in keys if key[0] in ids]
    rows = await connection.fetch(
        sql("read_to_chain"), *joined((ids[tenant] for tenant, _ in known), (event for _, event in known))
    )
    standing = [row for row in rows if row["stands"]]
    found: dict[int, list[ChainedTransaction]] = {}
    for row, lines in zip(standing, await read_lines(connection, standing, {}), strict=True):
        tenant_id = row["tenant_id"]
        found.setdefault(tenant_id, []).append(transaction_of(row, tenants[tenant_id], lines))
    unknown = [key for key in keys if key[0] not in ids]
    unknown += [(tenants[row["tenant_id"]], row["event_id"]) for row in rows if not row["stands"]]
    return _Found(found, unknown)


async def _link(connection: Connection, found: _Found, tenants: Mapping[int, str], late: bool) -> Appended:
    heads = await _lock_heads(connection, {each: tenants[each] for each in found.transactions})
    links: list[tuple[object, ...]] = []
    moved: dict[int, Head] = {}
    for tenant_id, transactions in found.transactions.items():
        fresh = extend(tenants[tenant_id], heads[tenant_id], transactions, late=late)
        links += [_row(tenant_id, link) for link in fresh]
        moved[tenant_id] = fresh[-1].head
    if links:
        await connection.copy_records_to_table("chain_links", records=links, columns=_COLUMNS)
        await connection.execute(sql("move_chain_heads"), *_columns(moved))
    return Appended(len(links), found.unknown)


async def _lock_heads(connection: Connection, tenants: Mapping[int, str]) -> dict[int, Head]:
    """Lock the heads of tenants in the order of their numbers; chains that have none begin."""
    wanted = sorted(tenants)
    rows = await connection.fetch(sql("lock_chain_heads"), wanted)
    if len(rows) < len(wanted):
        first = {tenant_id: first_head(tenants[tenant_id]) for tenant_id in wanted}
        await connection.execute(sql("begin_chains"), *_columns(first))
        rows = await connection.fetch(sql("lock_chain_heads"), wanted)
    return {row["tenant_id"]: Head(row["number"], row["hash"]) for row in rows}


async def _see_ends(connection: Connection, tenants: Mapping[int, str]) -> None:
    """Lock the heads of tenants; raises ChainDamagedError where links come after one."""
    for tenant_id, head in (await _lock_heads(connection, tenants)).items():
        if await connection.fetch(sql("read_chain_links"), tenant_id, head.number, 1):
            raise ChainDamagedError(tenants[tenant_id], head.number)


def _row(tenant_id: int, link: Link) -> tuple[object, ...]:
    return tenant_id, link.number, link.event_id, link.digest, link.hash, link.late


def _columns(heads: Mapping[int, Head]) -> tuple[list[int], list[int], list[bytes]]:
    return list(heads), [head.number for head in heads.values()], [head.hash for head in heads.values()]


class PostgresChains:
    """Chains over a pool; a snapshot is one repeatable-read transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["PostgresChainSnapshot"]:
        with transient_faults():
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute(_LIMITS)
                yield await PostgresChainSnapshot.of(connection)


class PostgresChainSnapshot:
    """A ChainSnapshot as one connection sees it. A tenant that nobody knows any more is named by its number."""

    def __init__(self, connection: Connection, tenants: Mapping[int, str]) -> None:
        self._connection = connection
        self._tenants = tenants
        self._ids: dict[str, int] = {}
        self._accounts: Accounts = {}

    @classmethod
    async def of(cls, connection: Connection) -> "PostgresChainSnapshot":
        """Read in the transaction of a connection."""
        rows = await connection.fetch("select tenant_id, code from tenants")
        return cls(connection, {row["tenant_id"]: row["code"] for row in rows})

    async def heads(self) -> Mapping[str, Head]:
        rows = await self._connection.fetch(sql("read_chain_heads"), timeout=LONG_S)
        heads = {self._name(row["tenant_id"]): Head(row["number"], row["hash"]) for row in rows}
        return dict(sorted(heads.items()))

    async def tenants(self) -> Sequence[str]:
        rows = await self._connection.fetch(sql("find_chained_tenants"), timeout=LONG_S)
        return sorted(self._name(row["tenant_id"]) for row in rows)

    def _name(self, tenant_id: int) -> str:
        name = self._tenants.get(tenant_id, str(tenant_id))
        self._ids[name] = tenant_id
        return name

    async def linked(self, tenant: str, after: int, limit: int) -> Sequence[Linked]:
        rows = await self._fetch("read_linked", tenant, after, limit)
        if len(self._accounts) > ACCOUNTS_KEPT_MAX:
            self._accounts.clear()
        standing = [row for row in rows if row["stands"]]
        lines = iter(await read_lines(self._connection, standing, self._accounts, LONG_S))
        return [
            Linked(link_of(row, tenant), transaction_of(row, tenant, next(lines)) if row["stands"] else None)
            for row in rows
        ]

    async def links(self, tenant: str, after: int, limit: int) -> Sequence[Link]:
        return [link_of(row, tenant) for row in await self._fetch("read_chain_links", tenant, after, limit)]

    async def _fetch(self, statement: str, tenant: str, after: int, limit: int) -> Sequence[Any]:
        tenant_id = self._ids.get(tenant) or self._id_of(tenant)
        if tenant_id is None:
            return ()
        return await self._connection.fetch(sql(statement), tenant_id, after, limit, timeout=LONG_S)

    def _id_of(self, tenant: str) -> int | None:
        return next((tenant_id for tenant_id, code in self._tenants.items() if code == tenant), None)

    async def complete_before(self) -> datetime | None:
        return await _complete_before(self._connection)

    async def unlinked(self, before: datetime, limit: int) -> Sequence[EventKey]:
        rows = await self._connection.fetch(sql("audit_unlinked"), before, limit, timeout=LONG_S)
        return [(row["tenant"], row["event_id"]) for row in rows]
