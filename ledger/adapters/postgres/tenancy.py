"""Connections that show the rows of one tenant: bounded pools in the API's role, behind row-level security."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import asyncpg

from ledger.adapters.postgres.connection import API_ROLE, open_pool, transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.adapters.postgres.watched import WatchedConnection
from ledger.application.faults import OverloadedError, TooSlowError, TransientFaultError
from ledger.application.places import Places
from ledger.config import Settings
from ledger.observability.signals import Signals

RELEASE_S = 1.0
"""A connection whose statement was given up has this long to become free; then it is closed."""

CLOSE_S = 2.0

REPLICA_PAUSE_S = 5.0
"""A standby that was away is asked again after this long."""

Answer = TypeVar("Answer")
Work = Callable[[Connection], Awaitable[Answer]]


class TenantConnection(WatchedConnection):
    """A connection that knows whose rows it shows, and says so to the server only when that changes."""

    shown_tenant_id: int | None = None

    async def show(self, tenant_id: int) -> None:
        """Show the rows of one tenant, and of no other, from now on."""
        if self.shown_tenant_id == tenant_id:
            return
        if self.is_in_transaction():
            raise RuntimeError("a transaction that is rolled back would take the tenant back as well")
        # Until the server has answered, nobody knows whose rows it shows.
        self.shown_tenant_id = None
        await self.fetchval("select set_config('ledger.tenant_id', $1, false)", str(tenant_id))
        self.shown_tenant_id = tenant_id


class Reads(Protocol):
    """Something that reads the rows of one tenant."""

    async def read(self, tenant_id: int, work: Work[Answer]) -> Answer:
        """Do some reading in one snapshot. Raises TransientFaultError, OverloadedError."""
        ...


class TenantPool:
    """A bulkhead: so many connections, so many that wait for one, and so long for waiting and reading together.

    Tenants take turns: one that asks for much waits for itself.
    """

    def __init__(
        self, pool: Pool, *, name: str, connections: int, queue_max: int, timeout_s: float, signals: Signals
    ) -> None:
        self._pool = pool
        self.name = name
        self._places = Places(connections, queue_max, timeout_s)
        self._timeout_s = timeout_s
        self._signals = signals

    @property
    def waiting(self) -> int:
        """Count those who wait for a connection."""
        return self._places.waiting

    @asynccontextmanager
    async def for_tenant(self, tenant_id: int) -> AsyncIterator[Connection]:
        """Give a connection that shows one tenant's rows. Raises TransientFaultError, OverloadedError."""
        async with self.connection(tenant_id) as connection:
            await connection.show(tenant_id)
            yield connection

    async def read(self, tenant_id: int, work: Work[Answer]) -> Answer:
        """Do some reading in one snapshot. Raises TransientFaultError, OverloadedError."""
        async with (
            self.for_tenant(tenant_id) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await work(connection)

    @asynccontextmanager
    async def connection(self, tenant_id: int | None = None) -> AsyncIterator[Any]:
        """Give a connection that shows whatever it last did: not for the rows of tenants."""
        asked = asyncio.get_running_loop().time()
        until = asked + self._timeout_s
        await self._take_place(tenant_id)
        try:
            connection = await self._acquire(until)
            waited_s = asyncio.get_running_loop().time() - asked
            self._signals.emit("connection.given", pool=self.name, seconds=waited_s)
            with transient_faults():
                try:
                    async with asyncio.timeout_at(until):
                        yield connection
                finally:
                    await self._pool.release(connection, timeout=RELEASE_S)
        finally:
            self._places.give_back()

    async def _acquire(self, until: float) -> Any:
        """Connect, if need be. A server that does not answer is away, not too slow. Raises TransientFaultError."""
        try:
            with transient_faults():
                async with asyncio.timeout_at(until):
                    return await self._pool.acquire()
        except TooSlowError as error:
            raise TransientFaultError(f"no connection for {self.name} reads: {error}") from error

    async def _take_place(self, tenant_id: int | None) -> None:
        if self._places.is_full(tenant_id):
            self._turn_away("queue")
        if not await self._places.take(tenant_id):
            self._turn_away("deadline")

    def _turn_away(self, why: str) -> None:
        self._signals.emit("read.turned_away", pool=self.name, why=why)
        raise OverloadedError(f"too many {self.name} reads wait for the books")

    async def is_reachable(self) -> bool:
        """Tell whether there are books that this role may read; a full queue says that there are."""
        try:
            async with self.connection() as connection:
                await connection.fetchval(sql("are_books_there"))
        except (TransientFaultError, asyncpg.PostgresError):
            return False
        except OverloadedError:
            return True
        return True

    async def close(self) -> None:
        """Close the connections, by force if they are still in use."""
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_S)
        except TimeoutError:
            self._pool.terminate()


class ReplicaFirst:
    """Reads a standby, and the primary while the standby is away. What the standby has not, the primary may have."""

    def __init__(
        self, replica: TenantPool, primary: TenantPool, signals: Signals, monotonic: Callable[[], float]
    ) -> None:
        self._replica = replica
        self._primary = primary
        self._signals = signals
        self._monotonic = monotonic
        self._tried_again_at = 0.0

    async def read(self, tenant_id: int, work: Work[Answer]) -> Answer:
        """Do some reading in one snapshot. Raises TransientFaultError, OverloadedError."""
        if self._monotonic() >= self._tried_again_at:
            try:
                found = await self._replica.read(tenant_id, work)
            except TransientFaultError as error:
                self._tried_again_at = self._monotonic() + REPLICA_PAUSE_S
                self._signals.emit("replica.not_used", error=str(error))
                if isinstance(error, TooSlowError):
                    raise
            else:
                # None is "there is no such thing", which a standby says of what is only just posted.
                if found is not None:
                    return found
        return await self._primary.read(tenant_id, work)


async def open_tenant_pool(
    dsn: str, settings: Settings, signals: Signals, *, name: str, connections: int, timeout_s: float
) -> TenantPool:
    """Open a pool in the API's role, whose statements may take `timeout_s` at most."""
    # Half the time for finding out that nobody is there leaves the other half for another connection.
    asking_s = min(settings.postgres_connect_timeout_s, timeout_s / 2)
    bounded = settings.model_copy(
        update={"postgres_statement_timeout_s": timeout_s, "postgres_connect_timeout_s": asking_s}
    )
    pool = await open_pool(
        dsn, bounded, size=connections, role=API_ROLE, name=f"ledger-api-{name}", kind=TenantConnection
    )
    return TenantPool(
        pool,
        name=name,
        connections=connections,
        queue_max=settings.api_queue_max,
        timeout_s=timeout_s,
        signals=signals,
    )
