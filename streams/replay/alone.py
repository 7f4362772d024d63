"""One replay at a time into the same books: by a lock that ends with its session, or with the server of that."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from ledger.adapters.postgres.connection import TRANSIENT
from ledger.adapters.postgres.statements import sql
from streams.replay.faults import NotReplayableError

CLOSE_S = 5.0
_SESSION = {
    "application_name": "ledger-replay-lock",
    "idle_session_timeout": "0",
    # Nothing is asked of it meanwhile: the server finds out by itself that nobody is there any more.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
}


@asynccontextmanager
async def alone_in(dsn: str, schema: str) -> AsyncIterator[int]:
    """Let nobody else replay into the same books meanwhile, and give the run by which they know it.

    Raises NotReplayableError. Whoever writes down how far the run came asks in the same transaction whether its
    session is still there: it is not after a fail-over, nor after somebody ended it.
    """
    connection = await asyncpg.connect(dsn, server_settings=_SESSION)
    try:
        if not await connection.fetchval(sql("take_replay_lock"), schema):
            holder = await connection.fetchrow(sql("find_replay_lock"), schema)
            raise NotReplayableError(f"Another replay into {schema} is running{_told(holder)}.")
        run = secrets.randbits(63)
        await connection.execute(f"select pg_advisory_lock({run})")
        yield run
    finally:
        # Of a session that is gone already nothing is left to be closed.
        with suppress(*TRANSIENT):
            await connection.close(timeout=CLOSE_S)


def _told(holder: asyncpg.Record | None) -> str:
    if holder is None:
        return ""
    since = f" since {holder['since']:%Y-%m-%dT%H:%M:%S%z}" if holder["since"] else ""
    return (
        f", by the session with the pid {holder['pid']}{since}: if nobody is behind it, "
        f"`select pg_terminate_backend({holder['pid']})` ends it, and what it has not written down is refused"
    )
