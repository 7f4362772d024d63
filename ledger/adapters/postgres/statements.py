"""SQL is SQL: one statement a file, read once."""

from functools import cache
from importlib.resources import files


@cache
def sql(name: str) -> str:
    """Read the statement `sql/NAME.sql`."""
    return (files(__package__) / "sql" / f"{name}.sql").read_text(encoding="utf-8")
