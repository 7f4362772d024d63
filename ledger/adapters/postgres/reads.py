"""Reads of the books by SQLAlchemy Core: what people and reports ask."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.adapters.postgres.tables import (
    accounts,
    balances,
    dead_letters,
    entries,
    payments,
    processed_events,
    stream_offsets,
    tenants,
    transactions,
)


async def _rows(connection: AsyncConnection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def outcome_counts(connection: AsyncConnection) -> list[dict[str, Any]]:
    """Count the ids that were processed, by type, kind and reason."""
    kinds = (processed_events.c.type, processed_events.c.kind, processed_events.c.reason)
    return await _rows(connection, sa.select(*kinds, sa.func.count().label("count")).group_by(*kinds))


async def dead_letter_counts(connection: AsyncConnection) -> dict[str, int]:
    """Count dead letters by reason."""
    query = sa.select(dead_letters.c.reason, sa.func.count().label("count")).group_by(dead_letters.c.reason)
    return {row["reason"]: row["count"] for row in await _rows(connection, query)}


async def payment_counts(connection: AsyncConnection) -> dict[str, int]:
    """Count payments by state."""
    query = sa.select(payments.c.state, sa.func.count().label("count")).group_by(payments.c.state)
    return {row["state"]: row["count"] for row in await _rows(connection, query)}


async def positions(connection: AsyncConnection, topic: str) -> dict[int, int]:
    """Give the next offset of each partition, as the books have it."""
    query = sa.select(stream_offsets.c.partition, stream_offsets.c.next_offset).where(
        stream_offsets.c.topic == topic
    )
    return {row["partition"]: row["next_offset"] for row in await _rows(connection, query)}


def _net() -> sa.ColumnElement[int]:
    net = balances.c.posted_credits - balances.c.posted_debits
    return sa.case((balances.c.normal_side == "credit", net), else_=-net)


async def account_balances(connection: AsyncConnection, tenant: str) -> list[dict[str, Any]]:
    """Give every balance of a tenant (minor units), the busiest first."""
    query = (
        sa.select(
            accounts.c.code.label("account"),
            balances.c.asset,
            _net().label("balance"),
            balances.c.held,
            balances.c.version,
        )
        .select_from(
            balances.join(
                accounts,
                (accounts.c.tenant_id == balances.c.tenant_id)
                & (accounts.c.account_id == balances.c.account_id),
            ).join(tenants, tenants.c.tenant_id == balances.c.tenant_id)
        )
        .where(tenants.c.code == tenant)
        .order_by(balances.c.version.desc(), accounts.c.code)
    )
    return await _rows(connection, query)


async def statement(
    connection: AsyncConnection, tenant: str, account: str, limit: int
) -> list[dict[str, Any]]:
    """Give the newest entries of an account, with its balance after each (minor units)."""
    net = entries.c.posted_credits - entries.c.posted_debits
    query = (
        sa.select(
            entries.c.posted_at,
            entries.c.version,
            transactions.c.type,
            transactions.c.reference,
            entries.c.asset,
            entries.c.amount,
            sa.case((accounts.c.normal_side == "credit", net), else_=-net).label("balance"),
        )
        .select_from(
            entries.join(
                balances,
                (balances.c.tenant_id == entries.c.tenant_id)
                & (balances.c.balance_id == entries.c.balance_id),
            )
            .join(
                accounts,
                (accounts.c.tenant_id == balances.c.tenant_id)
                & (accounts.c.account_id == balances.c.account_id),
            )
            .join(tenants, tenants.c.tenant_id == accounts.c.tenant_id)
            .join(
                transactions,
                (transactions.c.event_id == entries.c.event_id)
                & (transactions.c.tenant_id == entries.c.tenant_id),
            )
        )
        .where(tenants.c.code == tenant, accounts.c.code == account)
        .order_by(entries.c.version.desc())
        .limit(limit)
    )
    return await _rows(connection, query)


async def unlinked_count(connection: AsyncConnection) -> int:
    """Count transactions for which the audit chain does not vouch yet."""
    query = sa.text("select (select count(*) from transactions) - (select count(*) from chain_links)")
    return int((await connection.execute(query)).scalar_one())


async def holds_due(connection: AsyncConnection) -> int:
    """Count open holds whose time is over."""
    query = sa.text("select count(*) from holds where state = 'open' and expires_at <= now()")
    return int((await connection.execute(query)).scalar_one())
