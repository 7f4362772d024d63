"""A PostgreSQL that is not heard any more, while its connections look open: what it costs is one wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from urllib.parse import urlsplit

import asyncpg
import pytest

from ledger.adapters.postgres import connection as connections
from ledger.adapters.postgres import watched
from ledger.adapters.postgres.connection import open_pool, transient_faults
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.faults import TooSlowError, TransientFaultError
from ledger.config import Settings
from loadtests.chaos.proxy import Proxy, Weather, proxied
from streams.embedded.state import free_port

Statement = Callable[[Connection], Awaitable[None]]

OPEN = 6
WAIT_S = 1.2
CONNECT_S = 0.6
TRIES = 10


@pytest.fixture
async def proxy(postgres_dsn: str) -> AsyncIterator[Proxy]:
    server = urlsplit(postgres_dsn)
    passing = Proxy("postgres", ("127.0.0.1", free_port(set())), (server.hostname or "", server.port or 5432))
    async with proxied(passing):
        yield passing


@pytest.fixture
async def pool(proxy: Proxy, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pool]:
    """A pool through the proxy, all of whose connections are open and idle."""
    monkeypatch.setattr(connections, "SILENT_S", WAIT_S / 2)
    through = urlsplit(postgres_dsn)
    credentials = through.netloc.rpartition("@")[0]
    dsn = through._replace(netloc=f"{credentials}@{proxy.address}" if credentials else proxy.address).geturl()
    settings = Settings(postgres_statement_timeout_s=WAIT_S / 2, postgres_connect_timeout_s=CONNECT_S)
    made = await filled(lambda: open_pool(dsn, settings, size=OPEN, role=None))
    assert proxy.connections == OPEN
    yield made
    proxy.reset()
    await made.close()


async def filled(opened: Callable[[], Awaitable[Pool]]) -> Pool:
    """Open a pool with all of its connections; again where a busy machine took longer than a test may wait."""
    for _ in range(TRIES):
        made = await opened()
        try:
            await asyncio.gather(*(made.fetchval("select pg_sleep(0.1)::text") for _ in range(OPEN)))
        except (TimeoutError, asyncpg.QueryCanceledError):
            await made.close()
            await asyncio.sleep(0.2)
        else:
            return made
    raise TimeoutError("the machine is too busy to open a pool in time")


async def until_through(pool: Pool) -> int:
    """Try as workers do; give how many tries it took."""
    tries = 1
    while True:
        try:
            with transient_faults():
                async with pool.acquire() as connection, connection.transaction():
                    assert await connection.fetchval("select 1") == 1
                return tries
        except TransientFaultError:
            tries += 1
            await asyncio.sleep(0.05)


async def test_an_idle_connection_is_asked_first(
    proxy: Proxy, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "IDLE_S", 0.05)
    await asyncio.sleep(0.1)
    proxy.half_open()
    begun = monotonic()
    with pytest.raises(TimeoutError):
        await pool.acquire()
    assert monotonic() - begun < CONNECT_S + 0.2
    assert await until_through(pool) == 1


async def test_idle_connections_on_which_nobody_answers_cost_one_wait_together(
    proxy: Proxy, pool: Pool
) -> None:
    assert proxy.half_open() == OPEN
    begun = monotonic()
    assert await until_through(pool) == 2
    assert monotonic() - begun < 2 * WAIT_S + 0.5


async def test_idle_connections_are_not_used_once_one_was_cut_in_the_middle(proxy: Proxy, pool: Pool) -> None:
    async with pool.acquire() as connection:
        proxy.weather = Weather(cuts_after_bytes=0)
        with pytest.raises((ConnectionError, asyncpg.ConnectionDoesNotExistError)):
            await connection.fetchval("select 1")
        proxy.clear()
        while proxy.connections == OPEN:  # noqa: ASYNC110 - it is gone in a moment
            await asyncio.sleep(0.01)
        proxy.half_open()
    begun = monotonic()
    assert await until_through(pool) == 1
    assert monotonic() - begun < WAIT_S


async def test_connections_made_since_are_kept_when_an_old_one_breaks(proxy: Proxy, pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        proxy.half_open()
        used = []
        for old in (one, other):
            with pytest.raises(TimeoutError):
                await old.fetchval("select 1")
            async with pool.acquire() as fresh:
                used.append(await fresh.fetchval("select pg_backend_pid()"))
        assert used[0] == used[1]


async def select(connection: Connection) -> None:
    await connection.fetchval("select 1")


async def copy(connection: Connection) -> None:
    await connection.copy_records_to_table("copied", records=[(1,)])


async def broken_off(pool: Pool, proxy: Proxy, statement: Statement) -> None:
    """Have the server fall silent within a transaction."""
    with transient_faults():
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("create temp table copied (number int)")
            proxy.half_open()
            await statement(connection)


@pytest.mark.parametrize("statement", [select, copy])
async def test_a_transaction_whose_server_fell_silent_is_said_to_be_too_slow_and_waits_once(
    statement: Statement, proxy: Proxy, pool: Pool
) -> None:
    begun = monotonic()
    with pytest.raises(TooSlowError, match="did not answer"):
        await broken_off(pool, proxy, statement)
    assert monotonic() - begun < 2 * WAIT_S
    await asyncio.sleep(0)
    assert await until_through(pool) == 1


async def test_a_statement_that_took_too_long_leaves_the_connection(pool: Pool) -> None:
    with pytest.raises(asyncpg.QueryCanceledError):
        await pool.fetchval("select pg_sleep(10)::text")
    assert pool.get_size() == OPEN
