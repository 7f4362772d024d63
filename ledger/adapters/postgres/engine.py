"""SQLAlchemy engines for reads and migrations; asyncpg itself reads the address, with all that it may hold."""

from functools import partial

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def open_engine(dsn: str, schema: str | None = None, *, name: str = "ledger-reads") -> AsyncEngine:
    """Make an engine with at most two connections, in `schema` if one is given."""
    settings = {"application_name": name, **({"search_path": schema} if schema else {})}
    # SQLAlchemy would pass options of the address such as sslmode on as arguments that asyncpg does not have.
    connect = partial(asyncpg.connect, dsn, server_settings=settings)
    return create_async_engine("postgresql+asyncpg://", async_creator=connect, pool_size=1, max_overflow=1)
