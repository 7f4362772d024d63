"""What can be exported: its columns, which rows are meant, and the port that gives them."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

import msgspec


class What(StrEnum):
    """What is exported."""

    ENTRIES = "entries"
    BALANCES = "balances"
    STATEMENT = "statement"
    TRIAL_BALANCE = "trial-balance"


ColumnKind = Literal["text", "integer", "total", "moment"]
"""`integer` has 64 bits; a `total` may be larger. Both count minor units, versions or rows."""

Columns = Sequence[tuple[str, ColumnKind]]

Row = Sequence[Any]

COLUMNS: dict[What, Columns] = {
    What.ENTRIES: (
        ("tenant", "text"),
        ("account", "text"),
        ("asset", "text"),
        ("version", "integer"),
        ("amount", "integer"),
        ("balance", "integer"),
        ("posted_debits", "integer"),
        ("posted_credits", "integer"),
        ("transaction", "text"),
        ("line", "integer"),
        ("type", "text"),
        ("reference", "text"),
        ("posted_at", "moment"),
        ("effective_at", "moment"),
    ),
    What.BALANCES: (
        ("tenant", "text"),
        ("account", "text"),
        ("asset", "text"),
        ("normal_side", "text"),
        ("posted_debits", "integer"),
        ("posted_credits", "integer"),
        ("balance", "integer"),
        ("held", "integer"),
        ("available", "integer"),
        ("version", "integer"),
        ("as_of", "moment"),
    ),
    What.STATEMENT: (
        ("line", "text"),
        ("posted_at", "moment"),
        ("asset", "text"),
        ("debit", "integer"),
        ("credit", "integer"),
        ("balance", "integer"),
        ("version", "integer"),
        ("transaction", "text"),
        ("type", "text"),
        ("reference", "text"),
        ("effective_at", "moment"),
    ),
    What.TRIAL_BALANCE: (
        ("tenant", "text"),
        ("asset", "text"),
        ("posted_debits", "total"),
        ("posted_credits", "total"),
        ("difference", "total"),
        ("held", "total"),
        ("balances", "integer"),
        ("as_of", "moment"),
    ),
}


class ExportQuery(msgspec.Struct, frozen=True):
    """Which rows are meant; what is None does not narrow.

    Entries are those posted in [since, before), balances stand as they did `at`.
    """

    what: What
    tenant: str | None = None
    account: str | None = None
    asset: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    at: datetime | None = None


class Exports(Protocol):
    """The books, to be written out."""

    def rows(self, query: ExportQuery) -> AsyncIterator[Sequence[Row]]:
        """Give the rows of COLUMNS, in order, in runs of bounded size, all from one moment of the books."""
        ...

    async def is_there(self, tenant: str | None, account: str | None) -> bool:
        """Tell whether there is such a tenant, and such an account of it; None is."""
        ...
