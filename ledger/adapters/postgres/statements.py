"""SQL is SQL: one statement a file, read once."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TypeVar

T = TypeVar("T")


@cache
def sql(name: str) -> str:
    """Read the statement `sql/NAME.sql`."""
    return (files(__package__) / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def column(values: Sequence[T]) -> Sequence[T]:
    """Give a column to a statement that takes one value for all: asyncpg looks at each element for long."""
    return values[:1] if values and values.count(values[0]) == len(values) else values
