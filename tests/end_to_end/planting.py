"""What a superuser can do to books by hand, and how they are made whole again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.end_to_end.books import Books

TABLES = (
    "accounts", "balances", "chain_heads", "chain_links", "chain_progress", "dead_letters", "entries", "holds",
    "processed_events", "reversals", "stream_offsets", "transactions",
)  # fmt: skip
PUT_AWAY = "; ".join(f"create table was_{name} as select * from {name}" for name in TABLES)
PUT_BACK = "; ".join(
    f"delete from {name}; insert into {name} overriding system value select * from was_{name}; "
    f"drop table was_{name}"
    for name in TABLES
)


async def run_script(books: Books, script: str) -> None:
    connection = await asyncpg.connect(
        books.settings.postgres_dsn, server_settings={"search_path": books.settings.postgres_schema}
    )
    try:
        await connection.execute(f"set session_replication_role = replica; {script}")
    finally:
        await connection.close()


@asynccontextmanager
async def planted(books: Books, script: str) -> AsyncIterator[None]:
    """Books as `script` leaves them, with the triggers off; put back at the end."""
    await run_script(books, PUT_AWAY)
    try:
        await run_script(books, script)
        yield
    finally:
        await run_script(books, PUT_BACK)
