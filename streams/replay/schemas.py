"""Refuses names of schemas that hold no books, before anything is read of them."""

import asyncpg

from ledger.config import Settings
from streams.embedded.addresses import find_postgres

_LACKING = """
    select case
        when not exists (select from pg_namespace where nspname = $1) then 'There is no schema '
        when to_regclass(format('%I.balances', $1::text)) is null then 'There are no books in the schema '
    end
"""


class NoSuchBooksError(Exception):
    """There is no such schema, or it holds no books."""


async def refuse_absent(settings: Settings, *schemas: str) -> None:
    """Raise NoSuchBooksError for the first of `schemas` that holds no books.

    The schema that is set is left alone: `ledger migrate` makes it.
    """
    named = [schema for schema in schemas if schema != settings.postgres_schema]
    if not named:
        return
    connection = await asyncpg.connect(find_postgres(settings))
    try:
        for schema in named:
            lacking = await connection.fetchval(_LACKING, schema)
            if lacking is not None:
                raise NoSuchBooksError(f"{lacking}{schema}.")
    finally:
        await connection.close()
