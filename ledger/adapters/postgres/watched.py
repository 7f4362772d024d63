"""Connections that are given up when nobody answers on them in time.

PostgreSQL ends a statement that takes too long, and says so. Where not even that is heard, the connection is half open:
a router forgot it, or the other machine is gone. asyncpg would wait as long again for the end of the statement, and its
pool would give the next caller the next connection on which nobody answers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import asyncpg

from ledger.adapters.postgres.types import Pool

CLOSE_S = 5.0


Method = TypeVar("Method", bound=Callable[..., Awaitable[Any]])


def _heard(method: Method) -> Method:
    @wraps(method)
    async def ask(self: "WatchedConnection", *given: Any, **named: Any) -> Any:
        try:
            return await method(self, *given, **named)
        except TimeoutError as error:
            self.give_up()
            raise TimeoutError("PostgreSQL did not answer, not even that it took too long") from error

    return cast(Method, ask)


if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection


class WatchedConnection(_Connection):
    """A connection of a pool; given up, it takes those along that are idle beside it."""

    pool: Pool | None = None
    _expiring: asyncio.Task[None] | None = None

    fetch = _heard(asyncpg.Connection.fetch)
    fetchrow = _heard(asyncpg.Connection.fetchrow)
    fetchval = _heard(asyncpg.Connection.fetchval)
    execute = _heard(asyncpg.Connection.execute)
    executemany = _heard(asyncpg.Connection.executemany)
    copy_to_table = _heard(asyncpg.Connection.copy_to_table)
    copy_records_to_table = _heard(asyncpg.Connection.copy_records_to_table)

    def give_up(self) -> None:
        """Close it without a word to the server, and have its pool use no other that is open now."""
        self.terminate()
        if self.pool is not None:
            self._expiring = asyncio.create_task(self.pool.expire_connections())

    async def close(self, *, timeout: float | None = None) -> None:
        """Close it; a server that does not answer is not waited for."""
        with suppress(TimeoutError, OSError, asyncpg.InterfaceError):
            await super().close(timeout=CLOSE_S if timeout is None else timeout)
