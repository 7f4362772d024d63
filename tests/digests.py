"""Everything that the books of one tenant hold, in one form for books in memory and in PostgreSQL."""

from typing import Any

import msgspec

from ledger.adapters.memory.books import Contents

Digest = dict[str, Any]


def memory_digest(contents: Contents, tenant: str) -> Digest:
    return {
        "accounts": {
            code: (each.normal_side, each.overdraft, _plain(each.metadata), each.closed)
            for (of, code), each in contents.accounts.items()
            if of == tenant
        },
        "balances": {
            (code, asset): (each.posted_debits, each.posted_credits, each.held, each.version)
            for (of, code, asset), each in contents.balances.items()
            if of == tenant
        },
        "holds": {
            key: (each.state, each.left, each.captured, each.released, each.expires_at)
            for (of, key), each in contents.holds.items()
            if of == tenant
        },
        "payments": _memory_payments(contents, tenant),
        "entries": {
            (line.account, line.asset, line.version): (
                key,
                line.amount,
                line.posted_debits,
                line.posted_credits,
                each.posted_at,
            )
            for (of, key), each in contents.transactions.items()
            if of == tenant
            for line in each.entries
        },
        "transactions": {
            key: (each.type, each.effective_at, each.reference, _plain(each.metadata), each.reverses)
            for (of, key), each in contents.transactions.items()
            if of == tenant
        },
        "reversed": {
            key: each.reversed
            for (of, key), each in contents.originals.items()
            if of == tenant and each.reversed
        },
        "processed": {
            key: (each.kind, each.reason and each.reason.value, each.detail, each.partition, each.offset)
            for (of, key), each in contents.processed.items()
            if of == tenant
        },
    }


async def postgres_digest(connection: Any, tenant: str) -> Digest:
    async def rows(statement: str) -> list[Any]:
        found: list[Any] = await connection.fetch(statement, tenant)
        return found

    return {
        "accounts": {
            row["code"]: (row["normal_side"], row["overdraft"], _json(row["metadata"]), row["closed"])
            for row in await rows("""
                select code, normal_side, overdraft, metadata, closed_at is not null as closed
                from accounts where tenant_id = (select tenant_id from tenants where code = $1)""")
        },
        "balances": {
            (row["code"], row["asset"]): tuple(row)[2:]
            for row in await rows("""
                select a.code, b.asset, b.posted_debits, b.posted_credits, b.held, b.version
                from balances b join accounts a using (tenant_id, account_id)
                where tenant_id = (select tenant_id from tenants where code = $1)""")
        },
        "holds": {
            row["id"]: tuple(row)[1:]
            for row in await rows("""
                select event_id::text as id, state, amount_left, captured, released, expires_at
                from holds where tenant_id = (select tenant_id from tenants where code = $1)""")
        },
        "payments": await _postgres_payments(connection, tenant),
        "entries": {
            (row["code"], row["asset"], row["version"]): tuple(row)[3:]
            for row in await rows("""
                select a.code, e.asset, e.version, e.event_id::text, e.amount, e.posted_debits,
                       e.posted_credits, e.posted_at
                from entries e join balances b using (tenant_id, balance_id)
                join accounts a using (tenant_id, account_id)
                where tenant_id = (select tenant_id from tenants where code = $1)""")
        },
        "transactions": {
            row["id"]: (
                row["type"],
                row["effective_at"],
                row["reference"],
                _json(row["metadata"]),
                row["reverses"],
            )
            for row in await rows("""
                select event_id::text as id, type, effective_at, reference, metadata, reverses::text as reverses
                from transactions where tenant_id = (select tenant_id from tenants where code = $1)""")
        },
        "reversed": {
            row["id"]: row["reversed"]
            for row in await rows("""
                select event_id::text as id, reversed
                from reversals where tenant_id = (select tenant_id from tenants where code = $1)""")
        },
        "processed": await _postgres_processed(connection, tenant),
    }


def _memory_payments(contents: Contents, tenant: str) -> Digest:
    return {
        key: (
            each.saga.state.value,
            each.version,
            each.terms.provider,
            each.terms.fee_account,
            each.terms.fee_amount,
            each.saga.deadline,
            len(contents.payment_lines[of, key]),
        )
        for (of, key), each in contents.payments.items()
        if of == tenant
    }


async def _postgres_payments(connection: Any, tenant: str) -> Digest:
    statement = """
        select event_id::text as id, state, version, provider, fee_account, fee_amount, deadline,
               (select count(*) from payment_steps s where s.event_id = p.event_id and s.tenant_id = p.tenant_id)
        from payments p where tenant_id = (select tenant_id from tenants where code = $1)"""
    return {row["id"]: tuple(row)[1:] for row in await connection.fetch(statement, tenant)}


async def _postgres_processed(connection: Any, tenant: str) -> Digest:
    statement = """
        select event_id::text as id, kind, reason, detail, "partition", "offset"
        from processed_events where tenant_id = (select tenant_id from tenants where code = $1)"""
    return {row["id"]: tuple(row)[1:] for row in await connection.fetch(statement, tenant)}


def _json(text: str | None) -> Any:
    return None if text is None else _plain(msgspec.json.decode(text))


def _plain(value: Any) -> Any:
    """Write large numbers in one way: a store of decimal numbers gives 1e23 back as an integer."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    large = type(value) in (int, float) and 2**53 < abs(value) < 10**308
    return float(value) if large else value
