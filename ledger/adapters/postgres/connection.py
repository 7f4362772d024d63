"""Connections to the books: a pool in the right schema and role, and PostgreSQL's errors told apart."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg

from ledger.adapters.postgres.types import Connection, Pool
from ledger.adapters.postgres.watched import Company, WatchedConnection
from ledger.application.faults import BusyError, TooSlowError, TransientFaultError
from ledger.config import Settings

WORKER_ROLE = "ledger_worker"
API_ROLE = "ledger_api"
SILENT_S = 5.0
"""PostgreSQL ends a statement in its time. If nothing is heard of that for so long, nobody is there."""
LONG_S = 24 * 60 * 60.0
"""For what reads whole tables: `timeout=None` would mean the pool's own limit."""

TRANSIENT: tuple[type[BaseException], ...] = (
    OSError,  # refused, reset, unreachable, and TimeoutError
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection was closed under us
    asyncpg.TransactionRollbackError,  # deadlock, serialization failure
    asyncpg.OperatorInterventionError,  # shutdown, crash, cancelled, idle for too long
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.ObjectNotInPrerequisiteStateError,  # a lock waited for too long
    asyncpg.ReadOnlySQLTransactionError,  # a standby: the fail-over is not over
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,  # the protocol broke off half-way
)

TOO_SLOW: tuple[type[BaseException], ...] = (TimeoutError, asyncpg.QueryCanceledError)

# Who comes just then is refused, while others may write: of a revocation, for one.
BUSY: tuple[type[BaseException], ...] = (asyncpg.InsufficientResourcesError, asyncpg.LockNotAvailableError)

# Kinds of InterfaceError that no trying again can mend.
BUGS: tuple[type[BaseException], ...] = (
    asyncpg.exceptions._base.DataError,
    asyncpg.UnsupportedClientFeatureError,
    asyncpg.ClientConfigurationError,
)


@contextmanager
def transient_faults() -> Iterator[None]:
    """Turn what may pass by itself into TransientFaultError; let bugs through as they are."""
    try:
        yield
    except TOO_SLOW as error:
        raise TooSlowError(f"{type(error).__name__}: {error}") from error
    except BUSY as error:
        raise BusyError(f"{type(error).__name__}: {error}") from error
    except BUGS:
        raise
    except TRANSIENT as error:
        if isinstance(error, asyncpg.InterfaceError) and isinstance(error.__context__, TimeoutError):
            # The end of a transaction finds that its connection was given up.
            raise TooSlowError(f"TimeoutError: {error.__context__}") from error
        raise TransientFaultError(f"{type(error).__name__}: {error}") from error


def end(connection: Connection) -> None:
    """Close a connection at once, in whatever state it is, so that nobody else gets it."""
    with suppress(asyncpg.InterfaceError):  # the pool has let go of a connection that broke
        connection.terminate()


async def open_pool(
    dsn: str,
    settings: Settings,
    *,
    size: int,
    role: str | None = WORKER_ROLE,
    name: str = "ledger-worker",
    kind: type[WatchedConnection] = WatchedConnection,
    by_key: bool = False,
) -> Pool:
    """Open a pool of at most `size` connections, with a time limit on everything.

    `by_key`: statements look their rows up one by one. A plan is made when tables may be all but empty, and kept:
    one that reads them from end to end would become slower with every row.
    """
    server_settings = {
        "application_name": name,
        "search_path": settings.postgres_schema,
        "statement_timeout": _milliseconds(settings.postgres_statement_timeout_s),
        "lock_timeout": _milliseconds(settings.postgres_lock_timeout_s),
        "idle_in_transaction_session_timeout": _milliseconds(settings.postgres_idle_in_transaction_s),
        "timezone": "UTC",
        "jit": "off",
    }
    if role is not None:
        server_settings["role"] = role
    if by_key:
        ways = ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin")
        server_settings |= dict.fromkeys(ways, "off")

    async def ask(connection: Any) -> None:
        await connection.ask_if_idle(settings.postgres_connect_timeout_s)

    company = Company()
    pool = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        timeout=settings.postgres_connect_timeout_s,
        command_timeout=settings.postgres_statement_timeout_s + SILENT_S,
        server_settings=server_settings,
        init=company.take_in,
        setup=ask,
        reset=_keep,
        max_inactive_connection_lifetime=300,
        connection_class=kind,
    )
    company.of(pool)
    return pool


async def _keep(connection: object) -> None:
    """Nothing outlives a unit of work but a tenant that its connection knows of: the round trip of a reset is saved."""


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
