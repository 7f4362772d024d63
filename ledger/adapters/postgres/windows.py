"""Windows worked out in SQL: a WindowReader over the entries themselves."""

from collections.abc import Sequence
from typing import Any

from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.tenancy import Reads
from ledger.adapters.postgres.types import Connection
from ledger.application.reading import WindowOf
from ledger.domain.account import NormalSide
from ledger.domain.moments import microseconds
from ledger.domain.window import Window, WindowSize

SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999, the last that the books can say."""


class PostgresWindows:
    """A WindowReader; each page is of one moment."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def windows(
        self, tenant_id: int, account: str, asset: str, size: WindowSize, first: int, before: int, limit: int
    ) -> Sequence[WindowOf] | None:
        """Read at most `limit` windows; raises TransientFaultError, OverloadedError."""
        since = _whole(size, min(max(0, first), SECONDS_MAX))
        until = min(max(0, before), SECONDS_MAX - size.seconds)

        async def read(connection: Connection) -> Sequence[WindowOf] | None:
            rows = await connection.fetch(
                sql("read_windows"), tenant_id, account, asset, size.seconds, since, until, limit
            )
            if rows or await connection.fetchval(sql("account_exists"), tenant_id, account):
                return [WindowOf(row["start"], window_of_row(row, row["normal_side"])) for row in rows]
            return None

        return await self._reads.read(tenant_id, read)


def _whole(size: WindowSize, seconds: int) -> int:
    """Give the first moment at which a window begins, from `seconds` on."""
    return -(-seconds // size.seconds) * size.seconds


def window_of_row(row: Any, normal_side: NormalSide) -> Window:
    """Make a window of a row with its versions, its totals, and the lowest and highest net credit."""
    low, high = row["net_min"], row["net_max"]
    if normal_side == "debit":
        low, high = -high, -low
    return Window(
        normal_side,
        row["first_version"],
        row["opening_debits"],
        row["opening_credits"],
        row["last_version"],
        row["closing_debits"],
        row["closing_credits"],
        low,
        high,
        microseconds(row["last_posted_at"]),
    )
