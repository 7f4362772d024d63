"""Bring a database's books to the newest version; safe to run twice, and by two at once."""

import asyncio
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.adapters.postgres.engine import open_engine
from migrations.indexes import make_indexes

_LOCK = 7_261_994_310  # an arbitrary number that only migrations of this ledger take
LOCK_TRIES = 30
_PAUSE_S = 0.5
_LOCK_NOT_AVAILABLE = "55P03"


def alembic_config(schema: str) -> Config:
    """Point Alembic at this folder; the connection comes from the caller, so there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["schema"] = schema
    return config


def head_revision() -> str:
    """Name the newest version that this code knows."""
    head = ScriptDirectory.from_config(alembic_config("ledger")).get_current_head()
    if head is None:
        raise RuntimeError("there are no migrations")
    return head


def known_revisions() -> set[str]:
    """Name every version that this code knows."""
    scripts = ScriptDirectory.from_config(alembic_config("ledger")).walk_revisions()
    return {script.revision for script in scripts}


async def migrate(dsn: str, schema: str) -> tuple[str | None, str]:
    """Upgrade the books in `schema` of `dsn`, beside whoever posts; returns the versions before and after.

    Raises sqlalchemy's DBAPIError where a table stays locked by others.
    """
    engine = open_engine(dsn, name="ledger-migrate")
    try:
        before = await _upgraded(engine, schema)
    finally:
        await engine.dispose()
    await make_indexes(dsn, schema)
    return before, head_revision()


async def _upgraded(engine: AsyncEngine, schema: str) -> str | None:
    """Try until no table is locked: who waits for a lock for long stops everybody who asks for the table later."""
    for left in reversed(range(LOCK_TRIES)):
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(_upgrade, schema)
        except sa.exc.DBAPIError as error:
            if not left or getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
        await asyncio.sleep(_PAUSE_S)
    raise RuntimeError("no try is left")


async def current_revision(dsn: str, schema: str) -> str | None:
    """Read which version the books in `schema` have; None where there are none."""
    engine = open_engine(dsn, name="ledger-migrate")
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_revision, schema)
    finally:
        await engine.dispose()


def _revision(connection: sa.Connection, schema: str) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table_schema": schema})
    return context.get_current_revision()


def _upgrade(connection: sa.Connection, schema: str) -> str | None:
    connection.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(sa.text("set local lock_timeout = '1s'"))
    connection.execute(sa.text(f'create schema if not exists "{schema}"'))
    connection.execute(sa.text(f'set local search_path to "{schema}"'))
    before = _revision(connection, schema)
    config = alembic_config(schema)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return before
