"""Connections that are given up when nobody answers on them in time.

PostgreSQL ends a statement that takes too long, and says so. Where not even that is heard, the connection is half open:
a router forgot it, or the other machine is gone. asyncpg would wait as long again for the end of the statement, and its
pool would give the next caller the next connection on which nobody answers.

One that was idle is asked first whether anybody is there: who finds it silent has waited for the time of connecting and
not for that of a statement. Where one breaks in the middle of a statement, those that are idle beside it may be such
ones as well: the pool uses none of them any more. To connect anew costs milliseconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

import asyncpg

from ledger.adapters.postgres.types import Pool

CLOSE_S = 5.0
IDLE_S = 1.0
"""Who has said nothing for so long is asked."""


Method = TypeVar("Method", bound=Callable[..., Awaitable[Any]])


def _heard(method: Method) -> Method:
    @wraps(method)
    async def ask(self: "WatchedConnection", *given: Any, **named: Any) -> Any:
        try:
            answer = await method(self, *given, **named)
        except TimeoutError as error:
            self.terminate()
            await self.distrust()
            raise TimeoutError("PostgreSQL did not answer, not even that it took too long") from error
        except (ConnectionError, asyncpg.ConnectionDoesNotExistError):
            await self.distrust()
            raise
        self.heard_at = monotonic()
        return answer

    return cast(Method, ask)


if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection


class Company:
    """The connections of one pool."""

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._generation = 0

    def of(self, pool: Pool) -> None:
        """Say which pool it is."""
        self._pool = pool

    async def take_in(self, connection: Any) -> None:
        """Take a new WatchedConnection in: those of its time are given up together."""
        connection.company, connection.generation = self, self._generation
        connection.heard_at = monotonic()

    async def distrust(self, generation: int) -> None:
        """Have the pool use none of the connections of that time; those that were made since are not touched."""
        if self._pool is not None and generation == self._generation:
            self._generation += 1
            await self._pool.expire_connections()


class WatchedConnection(_Connection):
    """A connection of a pool; if it breaks, it takes those along that are as old."""

    company: Company | None = None
    generation = 0
    heard_at = 0.0

    fetch = _heard(asyncpg.Connection.fetch)
    fetchrow = _heard(asyncpg.Connection.fetchrow)
    fetchval = _heard(asyncpg.Connection.fetchval)
    execute = _heard(asyncpg.Connection.execute)
    executemany = _heard(asyncpg.Connection.executemany)
    copy_to_table = _heard(asyncpg.Connection.copy_to_table)
    copy_records_to_table = _heard(asyncpg.Connection.copy_records_to_table)

    async def ask_if_idle(self, within_s: float) -> None:
        """Ask whether the server is there, if nothing was heard of it lately; raises TimeoutError, ConnectionError."""
        if monotonic() - self.heard_at <= IDLE_S:
            return
        try:
            await self.execute("select", timeout=within_s)
        except asyncio.CancelledError:
            self.terminate()  # or the pool would wait for its end, and whoever has no more time for that
            raise

    async def distrust(self) -> None:
        """Tell the others that it is not to be trusted."""
        if self.company is not None:
            await self.company.distrust(self.generation)

    async def close(self, *, timeout: float | None = None) -> None:
        """Close it; a server that does not answer is not waited for."""
        with suppress(TimeoutError, OSError, asyncpg.InterfaceError):
            await super().close(timeout=CLOSE_S if timeout is None else timeout)
