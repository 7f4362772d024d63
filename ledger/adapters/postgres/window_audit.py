"""The books as their windows are verified: snapshots, and windows worked out by the minute."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ledger.adapters.postgres.connection import LONG_S, transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.adapters.postgres.windows import window_of_row
from ledger.application.verify_windows import BookedBalance, WindowsSnapshot
from ledger.application.window_changelog import BalanceName
from ledger.domain.window import Window
from ledger.domain.window_audit import Minutes, Span

_LIMITS = """
    set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0
"""


class PostgresWindowsSnapshot:
    """A WindowsSnapshot over one repeatable-read transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def positions(self, topic: str) -> Mapping[int, int]:
        rows = await self._connection.fetch(sql("audit_positions"), topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def balances(self) -> Sequence[BookedBalance]:
        return [
            BookedBalance(
                row["tenant_id"],
                row["balance_id"],
                BalanceName(row["tenant"], row["account"], row["asset"]),
                row["version"],
            )
            for row in await self._connection.fetch(sql("audit_window_balances"), timeout=LONG_S)
        ]

    async def minutes(self, balances: Sequence[BookedBalance]) -> Sequence[Minutes]:
        found: list[list[tuple[int, Window]]] = [[] for _ in balances]
        rows: Any = await self._connection.fetch(
            sql("audit_window_minutes"),
            [each.tenant_id for each in balances],
            [each.balance_id for each in balances],
            timeout=LONG_S,
        )
        for row in rows:
            found[row["ordinal"] - 1].append((row["start"], window_of_row(row, row["normal_side"])))
        return found

    async def part(self, balance: BookedBalance, span: Span) -> Window:
        row: Any = await self._connection.fetchrow(
            sql("audit_window_part"), balance.tenant_id, balance.balance_id, *span, timeout=LONG_S
        )
        return window_of_row(row, row["normal_side"])


def snapshots(pool: Pool) -> Callable[[], AbstractAsyncContextManager[WindowsSnapshot]]:
    """Give what opens a snapshot on a connection of the pool."""

    @asynccontextmanager
    async def snapshot() -> AsyncIterator[WindowsSnapshot]:
        with transient_faults():
            async with (
                pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute(_LIMITS)
                yield PostgresWindowsSnapshot(connection)

    return snapshot
