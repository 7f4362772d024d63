"""Write what a batch changed: new accounts and balances, transactions and entries by COPY, then the rest."""

import base64
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from ledger.adapters.postgres.copying import (
    COPIES,
    Rows,
    TenantIds,
    entry_columns,
    transaction_columns,
    whole,
)
from ledger.adapters.postgres.directory import BalanceRow, Tenant, json_text
from ledger.adapters.postgres.statements import column, numbers, sql
from ledger.adapters.postgres.writing_payments import insert_payments
from ledger.application.faults import TransientFaultError
from ledger.application.meanwhile import meanwhile
from ledger.application.turns import in_turns
from ledger.contract.dead_letter import DeadLetter, Header, bytes_of_address, name_bytes
from ledger.domain.account import Account, AccountKey, Balance, BalanceKey
from ledger.domain.books import Books
from ledger.domain.holds import Hold
from ledger.domain.outcome import Outcome
from ledger.domain.transaction import Transaction

Tenants = Mapping[str, Tenant]

FEW = 50
"""Transactions that go in one statement with what they move: a trip costs more than COPY spares."""

PACKED_AT_ONCE = 250
"""About a millisecond."""

LETTERS_BYTES_MAX = 8 * 1024**2
"""Of dead letters written by one statement, unless it is one alone."""

_HOLD_COLUMNS = (
    "event_id",
    "tenant_id",
    "debit",
    "credit",
    "asset",
    "amount",
    "amount_left",
    "captured",
    "released",
    "state",
    "placed_at",
    "expires_at",
    "reference",
)


async def write(
    connection: Any,
    tenants: Tenants,
    books: Books,
    decided: Sequence[Outcome],
    at: Sequence[datetime],
    letters: Sequence[DeadLetter],
) -> dict[BalanceKey, BalanceRow]:
    """Write the changes of a batch, each event of it decided at its time, and give the rows of new balances.

    Raises TransientFaultError where another batch opened the same account.
    """
    changes = books.changes
    await _insert_accounts(connection, tenants, books, decided)
    fresh = [balance for balance in changes.balances if balance.row is None]
    made = await _insert_balances(connection, tenants, fresh) if fresh else {}
    await _post(connection, tenants, books)
    await _write_holds(connection, tenants, books)
    await insert_payments(connection, tenants, changes.payments)
    await _write_reversals(connection, tenants, books)
    await _close_accounts(connection, tenants, books, decided)
    await _settle(connection, tenants, decided, at)
    await _insert_dead_letters(connection, letters)
    return made


async def _insert_accounts(
    connection: Any, tenants: Tenants, books: Books, decided: Sequence[Outcome]
) -> None:
    opened = books.changes.opened
    if not opened:
        return
    rows = await connection.fetch(
        sql("insert_accounts"),
        [tenants[account.tenant].id for account in opened],
        [account.code for account in opened],
        [account.normal_side for account in opened],
        [account.overdraft for account in opened],
        [json_text(account.metadata) for account in opened],
        _times(opened, books.changes.opened_at, decided),
    )
    _all_inserted(rows, opened, "account")
    by_key = {(row["tenant_id"], row["code"]): row["account_id"] for row in rows}
    for account in opened:
        account.row = by_key[tenants[account.tenant].id, account.code]


def _times(
    accounts: Sequence[Account], known: Mapping[AccountKey, datetime], decided: Sequence[Outcome]
) -> list[datetime]:
    return [known.get((account.tenant, account.code), decided[0].posted_at) for account in accounts]


def _all_inserted(rows: Sequence[Any], wanted: Sequence[Any], what: str) -> None:
    if len(rows) != len(wanted):
        raise TransientFaultError(f"another batch opened the same {what}; deciding anew")


async def _insert_balances(
    connection: Any, tenants: Tenants, fresh: list[Balance]
) -> dict[BalanceKey, BalanceRow]:
    rows = await connection.fetch(
        sql("insert_balances"),
        [tenants[balance.account.tenant].id for balance in fresh],
        [balance.account.row for balance in fresh],
        [balance.asset for balance in fresh],
        [balance.account.normal_side for balance in fresh],
        [balance.account.overdraft for balance in fresh],
        *_totals(fresh),
    )
    _all_inserted(rows, fresh, "balance")
    by_key = {(row["tenant_id"], row["account_id"], row["asset"]): row for row in rows}
    made: dict[BalanceKey, BalanceRow] = {}
    for balance in fresh:
        account = balance.account
        row = by_key[tenants[account.tenant].id, account.row, balance.asset]
        balance.row = row["balance_id"]
        balance.changed = False  # its row holds its totals already
        made[account.tenant, account.code, balance.asset] = BalanceRow.read(
            row, account.normal_side, account.overdraft
        )
    return made


def _totals(balances: Sequence[Balance]) -> list[list[Any]]:
    return [
        [balance.posted_debits for balance in balances],
        [balance.posted_credits for balance in balances],
        [balance.held for balance in balances],
        [balance.version for balance in balances],
        [balance.last_posted_at for balance in balances],
    ]


async def _post(connection: Any, tenants: Tenants, books: Books) -> None:
    changed = [balance for balance in books.changes.balances if balance.changed]
    balances = _balance_columns(tenants, changed)
    posted = books.changes.transactions
    ids = {code: tenant.id for code, tenant in tenants.items()}.__getitem__
    if posted and len(posted) <= FEW:
        few = (*balances, *transaction_columns(posted, ids), *entry_columns(posted, ids))
        await connection.execute(sql("post_few"), *few)
        return
    if not posted and not changed:
        return
    # The locks are held for less time if the server is always at work while rows are packed.
    asked: Coroutine[Any, Any, object] = connection.execute(sql("update_balances"), *balances)
    for table, columns, pack in COPIES if posted else ():
        async with meanwhile(asked):
            rows = await _packed(pack, posted, ids)
        asked = _copy(connection, table, columns, rows)
    await asked


async def _packed(pack: Rows, transactions: Sequence[Transaction], ids: TenantIds) -> bytes:
    """Pack rows some at a time: what a socket did not take at once is sent in between."""
    return whole([pack(some, ids) async for some in in_turns(transactions, PACKED_AT_ONCE)])


def _balance_columns(tenants: Tenants, changed: Sequence[Balance]) -> tuple[Sequence[Any], ...]:
    debited, credited, held, versions, times = _totals(changed)
    tenant_ids = column([tenants[balance.account.tenant].id for balance in changed])
    rows = numbers([balance.row for balance in changed])
    totals = numbers(debited), numbers(credited), column(held), numbers(versions)
    return tenant_ids, rows, *totals, column(times)


async def _copy(connection: Any, table: str, columns: Sequence[str], rows: bytes) -> None:
    # As a view, for asyncpg takes bytes as the name of a file.
    await connection.copy_to_table(table, source=memoryview(rows), columns=columns, format="binary")


async def _write_holds(connection: Any, tenants: Tenants, books: Books) -> None:
    placed = [_hold_row(tenants, hold) for hold in books.changes.holds_placed]
    if placed:
        await connection.copy_records_to_table("holds", records=placed, columns=_HOLD_COLUMNS)
    changed = list(books.changes.holds_changed.values())
    if changed:
        await connection.execute(
            sql("update_holds"),
            [hold.id for hold in changed],
            [tenants[hold.tenant].id for hold in changed],
            [hold.left for hold in changed],
            [hold.captured for hold in changed],
            [hold.released for hold in changed],
            [hold.state for hold in changed],
        )


def _hold_row(tenants: Tenants, hold: Hold) -> tuple[Any, ...]:
    return (
        hold.id,
        tenants[hold.tenant].id,
        hold.debit,
        hold.credit,
        hold.asset,
        hold.amount,
        hold.left,
        hold.captured,
        hold.released,
        hold.state,
        hold.placed_at,
        hold.expires_at,
        hold.reference,
    )


async def _write_reversals(connection: Any, tenants: Tenants, books: Books) -> None:
    reversals = books.changes.reversals
    if reversals:
        await connection.execute(
            sql("upsert_reversals"),
            [event_id for _, event_id in reversals],
            [tenants[tenant].id for tenant, _ in reversals],
            [original.size for original in reversals.values()],
            [original.reversed for original in reversals.values()],
        )


async def _close_accounts(
    connection: Any, tenants: Tenants, books: Books, decided: Sequence[Outcome]
) -> None:
    closed = books.changes.closed
    if closed:
        await connection.execute(
            sql("close_accounts"),
            [tenants[account.tenant].id for account in closed],
            [account.row for account in closed],
            _times(closed, books.changes.closed_at, decided),
        )


async def _settle(
    connection: Any, tenants: Tenants, decided: Sequence[Outcome], at: Sequence[datetime]
) -> None:
    """Complete the rows of claims of which the transaction does not say all: that it was posted, and when."""
    rows = [
        (outcome, moment)
        for outcome, moment in zip(decided, at, strict=True)
        if outcome.transaction is None or outcome.posted_at != moment
    ]
    if rows:
        await connection.execute(
            sql("settle_events"),
            [outcome.event.id for outcome, _ in rows],
            [tenants[outcome.event.tenant].id for outcome, _ in rows],
            [outcome.kind for outcome, _ in rows],
            [outcome.reason for outcome, _ in rows],
            [outcome.detail for outcome, _ in rows],
            [moment for _, moment in rows],
        )


async def _insert_dead_letters(connection: Any, every: Sequence[DeadLetter]) -> None:
    for letters in _by_size(every):
        await connection.execute(
            sql("insert_dead_letters"),
            [letter.record.topic for letter in letters],
            [letter.record.partition for letter in letters],
            [letter.record.offset for letter in letters],
            [letter.record.key for letter in letters],
            [letter.record.value for letter in letters],
            [headers_json(letter.record.headers) for letter in letters],
            [letter.record.timestamp_ms for letter in letters],
            [letter.reason for letter in letters],
            [letter.detail for letter in letters],
            [letter.at for letter in letters],
        )


def _by_size(letters: Sequence[DeadLetter]) -> Iterator[Sequence[DeadLetter]]:
    """Part letters so that no statement has many large ones to write: its time is limited."""
    begin, size = 0, 0
    for end, letter in enumerate(letters):
        record = letter.record
        own = bytes_of_address(record.key, record.headers) + len(record.value or b"")
        if end > begin and size + own > LETTERS_BYTES_MAX:
            yield letters[begin:end]
            begin, size = end, 0
        size += own
    if begin < len(letters):
        yield letters[begin:]


def headers_json(headers: Sequence[Header]) -> str:
    """Write headers as [[name, base64 of the bytes or null], …]: they may hold any byte, and repeat.

    A name that JSON in PostgreSQL cannot hold stands as {"base64": its bytes}.
    """
    return orjson.dumps(
        [
            (_name_json(name), None if value is None else base64.b64encode(value).decode())
            for name, value in headers
        ]
    ).decode()


def _name_json(name: str) -> str | dict[str, str]:
    raw = name_bytes(name)
    if "\x00" not in name and raw.decode("utf-8", "ignore") == name:
        return name
    return {"base64": base64.b64encode(raw).decode()}
