"""The books, in memory and in PostgreSQL: each test gets a tenant and a topic of its own in either."""

import itertools
from collections.abc import AsyncIterator
from typing import Any, Protocol

import asyncpg
import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.tenancy import TenantPool, open_tenant_pool
from ledger.adapters.postgres.types import Pool
from ledger.application.ports import BookStore, Position
from ledger.application.post_events import Batch, PostEvents
from ledger.config import Settings
from ledger.contract.dead_letter import DeadLetter
from ledger.domain.books import Rules
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from migrations.run import migrate
from tests.builders import HandClock
from tests.digests import Digest, memory_digest, postgres_digest
from tests.fakes import RememberedSignals

SCHEMA = "ports"
SETTINGS = Settings(postgres_schema=SCHEMA, postgres_lock_timeout_s=8.0)

_numbers = itertools.count(1)


class Look(Protocol):
    """How a test looks into the books."""

    async def digest(self, tenant: str) -> Digest: ...
    async def position(self, topic: str, partition: int) -> int | None: ...
    async def letters(self, topic: str) -> list[tuple[int, bytes | None, bytes | None, str]]: ...


class MemoryLook:
    def __init__(self, books: MemoryBooks) -> None:
        self._books = books

    async def digest(self, tenant: str) -> Digest:
        return memory_digest(self._books.contents, tenant)

    async def position(self, topic: str, partition: int) -> int | None:
        return self._books.contents.positions.get((topic, partition))

    async def letters(self, topic: str) -> list[tuple[int, bytes | None, bytes | None, str]]:
        kept = sorted(self._books.contents.dead_letters.items())
        return [
            (key[2], each.record.key, each.record.value, each.detail) for key, each in kept if key[0] == topic
        ]


class PostgresLook:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def digest(self, tenant: str) -> Digest:
        async with self._pool.acquire() as connection:
            return await postgres_digest(connection, tenant)

    async def position(self, topic: str, partition: int) -> int | None:
        found: int | None = await self._pool.fetchval(
            'select next_offset from stream_offsets where topic = $1 and "partition" = $2', topic, partition
        )
        return found

    async def letters(self, topic: str) -> list[tuple[int, bytes | None, bytes | None, str]]:
        rows = await self._pool.fetch(
            'select "offset", key, value, detail from dead_letters where topic = $1 order by 1', topic
        )
        return [tuple(row) for row in rows]


class Bench:
    """One store under test, with the use case over it."""

    def __init__(self, store: BookStore, look: Look) -> None:
        number = next(_numbers)
        self.tenant, self.topic = f"t{number}", f"topic-{number}"
        self.store, self.look = store, look
        self.clock = HandClock()
        self.signals = RememberedSignals()

    def poster(self, store: BookStore | None = None) -> PostEvents:
        """Give a worker of its own over these books, or over `store`."""
        return PostEvents(store or self.store, self.clock, Rules(), self.signals, backoff_max_s=0.01)

    async def post(
        self,
        *events: Event,
        letters: tuple[DeadLetter, ...] = (),
        position: Position | None = None,
        store: BookStore | None = None,
    ) -> list[Outcome]:
        return await self.poster(store)(Batch(events, letters, position))

    async def answers(self, *events: Event, **more: Any) -> list[str]:
        return [str(each.reason or each.kind) for each in await self.post(*events, **more)]

    async def digest(self) -> Digest:
        return await self.look.digest(self.tenant)

    async def balance(self, account: str, asset: str = "USD/2") -> str:
        """Write a balance as scripts do."""
        digest = await self.digest()
        debits, credits_, held, version = digest["balances"].get((account, asset), (0, 0, 0, 0))
        side = digest["accounts"].get(account, ("credit",))[0]
        net = credits_ - debits if side == "credit" else debits - credits_
        return f"{net} held {held} version {version}"


@pytest.fixture(scope="session")
async def books_dsn(postgres_dsn: str) -> str:
    """A PostgreSQL whose schema `ports` holds migrated books."""
    await migrate(postgres_dsn, SCHEMA)
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": SCHEMA})
    try:
        await connection.execute("select make_event_partitions(now() - interval '90 days', 3)")
    finally:
        await connection.close()
    return postgres_dsn


@pytest.fixture(scope="session")
async def pool(books_dsn: str) -> AsyncIterator[Pool]:
    """Connections in the worker's role, as workers have them."""
    pool = await open_pool(books_dsn, SETTINGS, size=10)
    yield pool
    await pool.close()


@pytest.fixture
async def owner(books_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the owner of the tables, in a transaction that is rolled back."""
    connection = await asyncpg.connect(books_dsn, server_settings={"search_path": SCHEMA})
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


@pytest.fixture
def postgres(pool: Pool) -> Bench:
    return Bench(PostgresBooks(pool), PostgresLook(pool))


@pytest.fixture(scope="module")
def postgres_for_fuzz(pool: Pool) -> Bench:
    """One bench for all the examples of a test."""
    return Bench(PostgresBooks(pool), PostgresLook(pool))


@pytest.fixture(params=[0, 50, 200_000], ids=lambda rows: f"remembers {rows}")
def forgetful(request: pytest.FixtureRequest, pool: Pool) -> Bench:
    """Workers that remember nothing, a little, and everything."""
    return Bench(PostgresBooks(pool, remember=request.param), PostgresLook(pool))


@pytest.fixture
def memory() -> Bench:
    books = MemoryBooks()
    return Bench(books, MemoryLook(books))


@pytest.fixture(params=["memory", "postgres"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """The books, in memory and then in PostgreSQL."""
    found: Bench = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
async def tenant_pool(books_dsn: str) -> AsyncIterator[TenantPool]:
    """Connections in the API's role, as the API has them."""
    pool = await open_tenant_pool(
        books_dsn, SETTINGS, RememberedSignals(), name="strong", connections=3, timeout_s=5.0
    )
    yield pool
    await pool.close()
