"""The books, in memory and in PostgreSQL: each test gets a tenant and a topic of its own in either."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.payments import MemoryPayments
from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.payment_reader import PostgresPaymentReader
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.postgres.tenancy import TenantPool, open_tenant_pool
from ledger.adapters.postgres.types import Pool
from ledger.adapters.sealing import Seals
from ledger.application.ports import BookStore
from ledger.config import Settings
from migrations.run import migrate
from tests.digests import Digest, memory_digest, postgres_digest
from tests.fakes import RememberedSignals
from tests.ports.bench import Bench as Bench
from tests.ports.payments import Office

SCHEMA = "ports"
SEALING_KEY = "c2VhbGluZyBrZXkgb2YgdGhlIHRlc3RzLCAzMiBiLi4"
SETTINGS = Settings(postgres_schema=SCHEMA, postgres_lock_timeout_s=8.0)


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

    async def waiting(self) -> int:
        """Count the transactions that wait for a lock."""
        return self._books.locks.waiting

    def worker(self) -> BookStore:
        """Give a worker of its own over these books."""
        return self._books


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

    async def waiting(self) -> int:
        """Count the transactions that wait for a lock."""
        return int(
            await self._pool.fetchval("select count(distinct pid) from pg_locks where not granted") or 0
        )

    def worker(self) -> BookStore:
        """Give a worker of its own over these books."""
        return PostgresBooks(self._pool)


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


@pytest.fixture
def memory_office(memory: Bench) -> Office:
    assert isinstance(memory.store, MemoryBooks)
    payments = MemoryPayments(memory.store)
    return Office(memory, payments, payments, payments)


@pytest.fixture
def postgres_office(postgres: Bench, pool: Pool) -> Office:
    reader = PostgresPaymentReader.of_all(pool)
    return Office(
        postgres,
        PostgresPayments(pool),
        reader,
        PostgresProviders(pool, Seals([SEALING_KEY]), auto_open=True),
    )


@pytest.fixture(params=["memory_office", "postgres_office"])
def office(request: pytest.FixtureRequest) -> Office:
    """Payments, in memory and then in PostgreSQL."""
    found: Office = request.getfixturevalue(request.param)
    return found
