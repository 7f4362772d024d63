"""The fence between tenants: a connection shows the rows of one of them, whatever became of it before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.tenancy import TenantPool, open_tenant_pool
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.faults import BusyError, OverloadedError, TooSlowError, TransientFaultError
from tests.fakes import RememberedSignals
from tests.ports.conftest import SETTINGS, Bench, PostgresLook
from tests.ports.test_fences import lived, tables_of_tenants

RACE = "select count(*), count(distinct tenant_id), min(tenant_id) from accounts"


@pytest.fixture
async def two_tenants(pool: Pool) -> tuple[int, int]:
    one, other = (Bench(PostgresBooks(pool), PostgresLook(pool)) for _ in range(2))
    return await lived(one), await lived(other)


@pytest.fixture
async def one_connection(books_dsn: str) -> AsyncIterator[TenantPool]:
    """A pool of one connection, which is therefore the same for everybody."""
    settings = SETTINGS.model_copy(update={"api_queue_max": 2})
    pool = await open_tenant_pool(
        books_dsn, settings, RememberedSignals(), name="strong", connections=1, timeout_s=0.5
    )
    yield pool
    await pool.close()


async def shown(pool: TenantPool, tenant_id: int) -> int:
    """Say whose rows are shown to a tenant: its own and no other's, or this fails."""
    async with pool.for_tenant(tenant_id) as connection:
        rows = await connection.fetch(RACE)
    ((count, tenants, found),) = rows
    assert (count > 0, tenants) == (True, 1)
    return int(found)


async def test_a_connection_shows_whom_it_serves(
    one_connection: TenantPool, two_tenants: tuple[int, int]
) -> None:
    one, other = two_tenants
    for tenant_id in (one, other, other, one, other):
        assert await shown(one_connection, tenant_id) == tenant_id


async def test_a_tenant_is_told_to_the_server_only_when_it_changes(
    one_connection: TenantPool, two_tenants: tuple[int, int]
) -> None:
    said: list[str] = []
    for tenant_id in (*two_tenants, two_tenants[1], two_tenants[1]):
        async with one_connection.connection() as connection:
            with connection.query_logger(lambda record: said.append(record.query)):
                await connection.show(tenant_id)
    assert len(said) == 2


async def fails(connection: Any) -> None:
    await connection.execute("select 1/0")


async def fails_in_transaction(connection: Any) -> None:
    async with connection.transaction():
        await connection.execute("select 1/0")


async def leaves_transaction_open(connection: Any) -> None:
    await connection.execute("begin")


async def is_cancelled(connection: Any) -> None:
    sleeping = asyncio.ensure_future(connection.fetchval("select pg_sleep(10)"))
    await asyncio.sleep(0.05)
    sleeping.cancel()
    await sleeping


async def takes_too_long(connection: Any) -> None:
    await connection.fetchval("select pg_sleep(10)")


async def dies(connection: Any) -> None:
    await connection.fetchval("select pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize(
    "mishap", [fails, fails_in_transaction, leaves_transaction_open, is_cancelled, takes_too_long, dies]
)
async def test_whatever_happened_to_it_shows_the_next_tenant_only_its_own(
    one_connection: TenantPool, two_tenants: tuple[int, int], mishap: Any
) -> None:
    one, other = two_tenants
    for before, after in ((one, other), (other, one)):
        with suppress(asyncpg.PostgresError, TransientFaultError, asyncio.CancelledError):
            async with one_connection.for_tenant(before) as connection:
                await mishap(connection)
        assert await shown(one_connection, after) == after


async def test_a_change_of_tenant_that_was_cancelled_shows_nobody_to_the_next(
    one_connection: TenantPool, two_tenants: tuple[int, int]
) -> None:
    one, other = two_tenants
    await shown(one_connection, one)
    for delay in range(20):
        switching = asyncio.ensure_future(shown(one_connection, other))
        for _ in range(delay):
            await asyncio.sleep(0)
        switching.cancel()
        await asyncio.wait([switching])
        assert await shown(one_connection, one) == one


async def test_a_tenant_is_not_set_inside_a_transaction_that_could_take_it_back(
    one_connection: TenantPool, two_tenants: tuple[int, int]
) -> None:
    async with one_connection.connection() as connection, connection.transaction():
        with pytest.raises(RuntimeError):
            await connection.show(two_tenants[0])


async def test_a_snapshot_reads_and_writes_nothing(
    tenant_pool: TenantPool, two_tenants: tuple[int, int]
) -> None:
    async def write(connection: Connection) -> None:
        await connection.execute("update api_keys set last_used_at = now()")

    with pytest.raises(TransientFaultError, match="read-only"):
        await tenant_pool.read(two_tenants[0], write)


async def test_no_tenant_no_rows(
    one_connection: TenantPool, owner: Any, two_tenants: tuple[int, int]
) -> None:
    readable = "has_table_privilege('ledger_api', $1, 'select')"
    tables = [name for name in await tables_of_tenants(owner) if not name.startswith("processed_events_")]
    tables = [name for name in tables if await owner.fetchval(f"select {readable}", name)]
    async with one_connection.connection() as connection:
        counts = {table: await connection.fetchval(f"select count(*) from {table}") for table in tables}
    assert set(counts.values()) == {0}
    assert len(counts) >= 9


async def test_the_apis_role_writes_nothing_but_the_last_use_of_a_key(owner: Any) -> None:
    rows = await owner.fetch(
        """
        select table_name, privilege_type, column_name from information_schema.column_privileges
        where grantee = 'ledger_api' and table_schema = current_schema() and privilege_type <> 'SELECT'
        """
    )
    assert {tuple(row) for row in rows} == {
        ("api_keys", "UPDATE", "last_used_at"),
        ("api_keys", "UPDATE", "ended_sessions"),
    }


async def test_too_many_who_wait_are_turned_away(
    one_connection: TenantPool, two_tenants: tuple[int, int]
) -> None:
    async with one_connection.for_tenant(two_tenants[0]):
        waiting = [asyncio.ensure_future(shown(one_connection, two_tenants[1])) for _ in range(2)]
        await asyncio.sleep(0.01)
        with pytest.raises(OverloadedError):
            await shown(one_connection, two_tenants[1])
    assert await asyncio.gather(*waiting) == [two_tenants[1]] * 2


async def test_who_waits_for_too_long_is_turned_away(
    one_connection: TenantPool, two_tenants: tuple[int, int]
) -> None:
    await one_connection._places.take()
    with pytest.raises(OverloadedError):
        await shown(one_connection, two_tenants[1])
    one_connection._places.give_back()
    assert one_connection.waiting == 0


async def test_a_statement_that_takes_too_long_is_given_up(
    one_connection: TenantPool, two_tenants: tuple[int, int]
) -> None:
    with pytest.raises(TooSlowError):
        async with one_connection.for_tenant(two_tenants[0]) as connection:
            await takes_too_long(connection)


@pytest.mark.parametrize("code", ["53300", "55P03"], ids=["too many connections", "a lock is not available"])
async def test_books_that_have_no_room_are_busy_and_not_away(one_connection: TenantPool, code: str) -> None:
    with pytest.raises(BusyError):
        async with one_connection.connection() as connection:
            await connection.execute(f"do $$ begin raise exception using errcode = '{code}'; end $$")


async def test_books_that_are_away_are_told_as_such(books_dsn: str) -> None:
    pool = await open_tenant_pool(
        "postgresql://ledger@127.0.0.1:1/ledger",
        SETTINGS,
        RememberedSignals(),
        name="strong",
        connections=1,
        timeout_s=0.5,
    )
    with pytest.raises(TransientFaultError):
        await shown(pool, 1)
    assert not await pool.is_reachable()
    await pool.close()


async def test_books_that_answer_are_reachable(tenant_pool: TenantPool) -> None:
    assert await tenant_pool.is_reachable()
