"""Indexes of tables that may be large, made beside whoever writes: no transaction can do that, so no revision does."""

import asyncio
from importlib.resources import files

import asyncpg

_LOCK = 7_261_994_312  # an arbitrary number, as that of the migrations
_PAUSE_S = 0.2

INDEXES = {
    "transactions_by_time": "0009_transactions_by_time.sql",
    "open_holds": "0010_open_holds_in_use.sql",
}
"""What makes each; an index that was broken off is made anew."""

_IS_VALID = """
    select i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid
    where c.oid = to_regclass(format('%I.%I', $1::text, $2::text))
"""


async def make_indexes(dsn: str, schema: str) -> None:
    """Make the indexes that the books in `schema` lack; safe to run twice, and by two at once."""
    options = {"application_name": "ledger-migrate", "lock_timeout": "0", "statement_timeout": "0"}
    connection: asyncpg.Connection = await asyncpg.connect(dsn, server_settings=options)
    try:
        await connection.execute("select set_config('search_path', quote_ident($1), false)", schema)
        for name, file in INDEXES.items():
            if not await connection.fetchval(_IS_VALID, schema, name):
                await _make(connection, schema, name, file)
    finally:
        await connection.close()


async def _make(connection: asyncpg.Connection, schema: str, name: str, file: str) -> None:
    # Who waited for the lock would hold a snapshot, and making an index waits for every snapshot to go.
    while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110  # another process has no event
        await asyncio.sleep(_PAUSE_S)
    # Closing the connection lets the lock go.
    is_valid = await connection.fetchval(_IS_VALID, schema, name)
    if is_valid is False:
        await connection.execute(f"drop index concurrently {name}")
    if not is_valid:
        await connection.execute((files("migrations") / "sql" / file).read_text())
