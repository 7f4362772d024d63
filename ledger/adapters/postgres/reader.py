"""What readers see of the books in PostgreSQL: balances from the primary, history from wherever it may be read."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import msgspec

from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.tenancy import Reads, TenantPool
from ledger.adapters.postgres.types import Connection
from ledger.application.ports import Clock
from ledger.application.reading import (
    AccountView,
    AssetTotal,
    BalanceView,
    EntryView,
    EventFacts,
    HoldFacts,
    StatementPlace,
    TransactionView,
)
from ledger.domain.rejection import Reason

RELATED_MAX = 1000
"""Of the reversals of a transaction and the captures of a hold, the first so many are told."""

AFTER_EVERY_CODE = "\x7f"
"""Codes are ASCII: this comes after any of them."""


class PostgresBalances:
    """A BalanceReader. The clock is read before the books are, so that a balance is never older than it says."""

    def __init__(self, pool: TenantPool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def balance(self, tenant_id: int, account: str, asset: str) -> BalanceView | None:
        as_of = self._clock.now()
        async with self._pool.for_tenant(tenant_id) as connection:
            row = await connection.fetchrow(sql("read_balance"), tenant_id, account, asset)
        return None if row is None else _balance(row, account, asset, as_of, row["held"] or 0)

    async def balance_at(self, tenant_id: int, account: str, asset: str, at: datetime) -> BalanceView | None:
        async with self._pool.for_tenant(tenant_id) as connection:
            row = await connection.fetchrow(sql("read_balance_at"), tenant_id, account, asset, at)
        return None if row is None else _balance(row, account, asset, at, None)

    async def account(self, tenant_id: int, account: str) -> AccountView | None:
        as_of = self._clock.now()
        async with self._pool.for_tenant(tenant_id) as connection:
            rows = await connection.fetch(sql("read_account"), tenant_id, account)
        return _account(rows, as_of) if rows else None


class PostgresHistory:
    """A HistoryReader, and a HoldLister."""

    def __init__(self, reads: Reads, clock: Clock) -> None:
        self._reads = reads
        self._clock = clock

    async def accounts(
        self, tenant_id: int, prefix: str, after: str | None, limit: int
    ) -> Sequence[AccountView]:
        as_of = self._clock.now()
        bounds = (prefix, prefix + AFTER_EVERY_CODE, after, limit)
        rows = await self._reads.read(
            tenant_id, lambda connection: connection.fetch(sql("list_accounts"), tenant_id, *bounds)
        )
        return [_account(list(group), as_of) for _, group in groupby(rows, key=lambda row: row["code"])]

    async def statement(
        self,
        tenant_id: int,
        account: str,
        asset: str | None,
        since: datetime | None,
        before: datetime | None,
        after: StatementPlace | None,
        limit: int,
    ) -> Sequence[EntryView] | None:
        place = (None, None, None) if after is None else (after.posted_at, after.asset, after.version)

        async def work(connection: Connection) -> Sequence[EntryView] | None:
            rows = await connection.fetch(
                sql("read_statement"), tenant_id, account, asset, since, before, *place, limit
            )
            if not rows and not await connection.fetchval(sql("account_exists"), tenant_id, account):
                return None
            return [_statement_entry(row, account) for row in rows]

        return await self._reads.read(tenant_id, work)

    async def transaction(self, tenant_id: int, transaction: str) -> TransactionView | None:
        return await self._reads.read(
            tenant_id, lambda connection: _transaction(connection, tenant_id, transaction)
        )

    async def hold(self, tenant_id: int, hold: str) -> HoldFacts | None:
        return await self._reads.read(tenant_id, lambda connection: _hold(connection, tenant_id, hold))

    async def open_holds(self, tenant_id: int, account: str, asset: str, limit: int) -> Sequence[HoldFacts]:
        rows = await self._reads.read(
            tenant_id,
            lambda connection: connection.fetch(sql("list_open_holds"), tenant_id, account, asset, limit),
        )
        return [_hold_facts(row, ()) for row in rows]

    async def event(self, tenant_id: int, event: str) -> EventFacts | None:
        return await self._reads.read(tenant_id, lambda connection: _event(connection, tenant_id, event))

    async def trial_balance(self, tenant_id: int, asset: str | None) -> Sequence[AssetTotal]:
        rows = await self._reads.read(
            tenant_id, lambda connection: connection.fetch(sql("read_trial_balance"), tenant_id, asset)
        )
        return [
            AssetTotal(
                row["asset"],
                int(row["posted_debits"]),
                int(row["posted_credits"]),
                int(row["held"]),
                row["balances"],
            )
            for row in rows
        ]


async def _transaction(connection: Connection, tenant_id: int, transaction: str) -> TransactionView | None:
    row = await connection.fetchrow(sql("read_transaction"), tenant_id, transaction)
    if row is None:
        return None
    entries = await connection.fetch(sql("read_transaction_entries"), tenant_id, transaction)
    reversals = await connection.fetch(sql("read_reversals"), tenant_id, transaction, RELATED_MAX)
    return TransactionView(
        row["id"],
        row["type"],
        row["posted_at"],
        row["effective_at"],
        row["reference"],
        row["metadata"] and msgspec.json.decode(row["metadata"]),
        [_entry(entry, entry["code"], row) for entry in entries],
        row["reverses"],
        row["captures"],
        [reversal["id"] for reversal in reversals],
    )


async def _hold(connection: Connection, tenant_id: int, hold: str) -> HoldFacts | None:
    row = await connection.fetchrow(sql("read_hold"), tenant_id, hold)
    if row is None:
        return None
    captures = await connection.fetch(sql("read_captures"), tenant_id, hold, RELATED_MAX)
    return _hold_facts(row, [capture["id"] for capture in captures])


def _hold_facts(row: Any, captures: Sequence[str]) -> HoldFacts:
    return HoldFacts(
        row["id"],
        row["debit"],
        row["credit"],
        row["asset"],
        row["amount"],
        row["amount_left"],
        row["captured"],
        row["released"],
        row["state"],
        row["placed_at"],
        row["expires_at"],
        row["reference"],
        captures,
    )


async def _event(connection: Connection, tenant_id: int, event: str) -> EventFacts | None:
    row = await connection.fetchrow(sql("read_event"), tenant_id, event)
    if row is None:
        return None
    transaction = await _transaction(connection, tenant_id, event)
    captured = event if transaction is None else transaction.captures
    hold = await _hold(connection, tenant_id, captured) if captured else None
    return EventFacts(
        row["id"],
        row["type"],
        row["kind"],
        row["posted_at"] if transaction is None else transaction.posted_at,
        transaction.id if transaction else None,
        Reason(row["reason"]) if row["reason"] else None,
        row["detail"],
        transaction.entries if transaction else (),
        hold,
    )


def _balance(row: Any, account: str, asset: str, as_of: datetime, held: int | None) -> BalanceView:
    return BalanceView(
        account,
        asset,
        row["normal_side"],
        row["posted_debits"] or 0,
        row["posted_credits"] or 0,
        held,
        row["version"] or 0,
        as_of,
    )


def _account(rows: Sequence[Any], as_of: datetime) -> AccountView:
    first = rows[0]
    return AccountView(
        first["code"],
        first["normal_side"],
        first["overdraft"],
        first["metadata"] and msgspec.json.decode(first["metadata"]),
        first["opened_at"],
        first["closed_at"],
        [_balance(row, row["code"], row["asset"], as_of, row["held"]) for row in _with_balance(rows)],
    )


def _with_balance(rows: Iterable[Any]) -> list[Any]:
    return [row for row in rows if row["asset"] is not None]


def _statement_entry(row: Any, account: str) -> EntryView:
    return _entry(row, account, row, transaction=row["transaction"])


def _entry(row: Any, account: str, of: Any, transaction: str | None = None) -> EntryView:
    """Make an entry of its row, and of the row of its transaction."""
    net = row["posted_credits"] - row["posted_debits"]
    return EntryView(
        account,
        row["asset"],
        row["version"],
        row["amount"],
        net if row["normal_side"] == "credit" else -net,
        row["posted_debits"],
        row["posted_credits"],
        transaction or of["id"],
        of["type"],
        of["reference"],
        row["posted_at"],
        of["effective_at"],
    )
