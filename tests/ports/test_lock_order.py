"""Rows are asked for in the order of their keys, so that no two batches wait for each other in a ring."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from ledger.adapters.postgres.directory import BalanceRow, Tenant
from ledger.adapters.postgres.locking import FIRST_LOCKED, Locking, Turn
from ledger.adapters.postgres.statements import sql
from ledger.application.faults import TransientFaultError
from ledger.domain.books import needs_of

TENANTS = {code: Tenant(number, code, True) for number, code in enumerate(("acme", "globex", "initech"), 1)}


class Asked:
    """A connection that finds nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []
        self.counts: list[int] = []

    async def fetchrow(self, statement: str, tenants: list[int], asked: str) -> dict[str, Any]:
        assert statement == sql("lock_balances")
        rows = [int(row) for row in asked.strip("{}").split(",")]
        # A column of one tenant holds for all.
        self.rows += zip(tenants * len(rows) if len(tenants) == 1 else tenants, rows, strict=True)
        self.counts.append(len(rows))
        return {"tenants": [], "packed": None}


@pytest.mark.parametrize(("count", "statements"), [(2, [6]), (166, [498]), (167, [FIRST_LOCKED, 242, 243])])
async def test_balances_are_locked_in_the_order_of_their_keys(count: int, statements: list[int]) -> None:
    connection: Any = Asked()
    directory: Any = type("Directory", (), {"forget": lambda self: None})()
    locking = Locking(connection, directory, TENANTS, needs_of([]), Turn(asyncio.Lock()))
    keys = [(code, f"account-{number}", "USD/2") for code in TENANTS for number in range(count)]
    numbers = Random(1).sample(range(10_000), len(keys))
    rows = {
        key: BalanceRow(number, number, "credit", 0, 0) for key, number in zip(keys, numbers, strict=True)
    }
    locking._rows.update(dict(Random(2).sample(list(rows.items()), len(rows))))
    lock: Callable[[], Any] = locking._lock_balances
    with pytest.raises(TransientFaultError):
        await lock()
    assert connection.rows == sorted(connection.rows)
    assert connection.counts == statements


@pytest.mark.parametrize("name", ["lock_holds", "lock_accounts", "lock_payments"])
def test_other_rows_are_put_in_order_by_their_statement(name: str) -> None:
    assert "order by" in sql(name)
