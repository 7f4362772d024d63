"""SQL is SQL: one statement a file, read once."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TypeVar

import orjson

T = TypeVar("T")


@cache
def sql(name: str) -> str:
    """Read the statement `sql/NAME.sql`."""
    return (files(__package__) / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def numbers(values: Sequence[int | None]) -> str:
    """Write a column of integers as text, for a statement that takes it so: `$1::text::bigint[]`.

    asyncpg looks at each element of an array for as long as ten of a text take.
    """
    return "{" + orjson.dumps(values).decode()[1:-1] + "}"


def column(values: Sequence[T]) -> Sequence[T]:
    """Give a column to a statement that takes one value for all: asyncpg looks at each element for long."""
    return values[:1] if values and values.count(values[0]) == len(values) else values
