"""Rows of the chain, and of transactions as the chain sees them."""

import json
from collections.abc import Iterable, MutableMapping, Sequence
from decimal import Decimal
from typing import Any

from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection
from ledger.domain.chain import ChainedLine, ChainedTransaction, Link, canonical_json

Accounts = MutableMapping[tuple[int, int], str | None]
"""By the numbers of tenant and balance."""

_EPOCH_US = 946_684_800_000_000
"""PostgreSQL counts its microseconds from 2000 on."""

# Numbers as they are stored: of any size, and exact.
_metadata = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)


def joined(tenants: Iterable[int], events: Iterable[str]) -> tuple[str, str]:
    """Write keys as the statements take them: numbers of tenants, and event ids."""
    return ",".join(map(str, tenants)), ",".join(events)


def link_of(row: Any, tenant: str) -> Link:
    """Read a link."""
    return Link(tenant, row["number"], row["event_id"], row["digest"], row["hash"], row["late"])


def transaction_of(row: Any, tenant: str, lines: Sequence[ChainedLine]) -> ChainedTransaction:
    """Read a transaction."""
    metadata = row["metadata"]
    return ChainedTransaction(
        tenant,
        row["event_id"],
        row["type"],
        _microseconds(row["posted_at"]),
        _microseconds(row["effective_at"]),
        row["reference"],
        None if metadata is None else canonical_json(_metadata.decode(metadata)),
        row["reverses"],
        row["captures"],
        lines,
    )


async def read_lines(
    connection: Connection, rows: Sequence[Any], accounts: Accounts, timeout_s: float | None = None
) -> list[list[ChainedLine]]:
    """Read the lines of each of the transactions in `rows`; what accounts they are of is added to `accounts`."""
    tenants = [row["tenant_id"] for row in rows]
    keys = joined(tenants, (row["event_id"] for row in rows))
    found = await connection.fetch(sql("read_chained_lines"), *keys, timeout=timeout_s)
    balances = {(tenants[row[0]], row[1]) for row in found}
    await _add_accounts(connection, balances - accounts.keys(), accounts, timeout_s)
    lines: list[list[ChainedLine]] = [[] for _ in rows]
    for place, balance, asset, amount, version, debits, credits_, at in found:
        account = accounts[tenants[place], balance]
        lines[place].append(ChainedLine(account, asset, amount, version, debits, credits_, _microseconds(at)))
    return lines


async def _add_accounts(
    connection: Connection, balances: set[tuple[int, int]], accounts: Accounts, timeout_s: float | None
) -> None:
    """Name the accounts of balances, each looked up once however many lines it has."""
    ids = [tenant for tenant, _ in balances], [balance for _, balance in balances]
    rows = await connection.fetch(sql("read_balance_accounts"), *ids, timeout=timeout_s) if balances else ()
    accounts.update(dict.fromkeys(balances))
    accounts.update(((tenant, balance), code) for tenant, balance, code in rows)


def _microseconds(sent: bytes) -> int:
    return int.from_bytes(sent, "big", signed=True) + _EPOCH_US
