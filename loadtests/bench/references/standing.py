"""Accounts that stand before a reference writes: open, empty, each with its balance."""

from collections.abc import Iterable

import orjson

from loadtests.bench.references.prepared import Place, Row
from loadtests.bench.stage import Stage
from loadtests.workloads import ASSET, TENANT, Record

_TENANT = "insert into tenants (code) values ($1) returning tenant_id"
_ACCOUNTS = """
    insert into accounts (tenant_id, code, normal_side, overdraft, opened_at)
    select $1, code, 'credit', case when code not like 'external:%' then 0 end, now()
    from unnest($2::text[]) as k (code) order by code
"""
_BALANCES = """
    insert into balances (tenant_id, account_id, asset, normal_side, overdraft,
                          posted_debits, posted_credits, held, version)
    select tenant_id, account_id, $2, normal_side, overdraft, 0, 0, 0, 0 from accounts where tenant_id = $1
    order by account_id
"""
_ROWS = """
    select a.code, b.balance_id from accounts a join balances b using (tenant_id, account_id) where a.tenant_id = $1
"""


async def open_accounts(stage: Stage, records: Iterable[Record]) -> tuple[Place, dict[str, Row]]:
    """Open whatever these transfers name."""
    codes: set[str] = set()
    for record in records:
        data = orjson.loads(record.value)["data"]
        codes |= {data["debit"], data["credit"]}
    async with stage.connection() as connection, connection.transaction():
        tenant_id = await connection.fetchval(_TENANT, TENANT)
        await connection.execute(_ACCOUNTS, tenant_id, sorted(codes))
        await connection.execute(_BALANCES, tenant_id, ASSET)
        rows = {code: Row(balance_id) for code, balance_id in await connection.fetch(_ROWS, tenant_id)}
    async with stage.connection() as connection:
        await connection.execute("analyze accounts, balances")
    return Place(tenant_id, stage.settings.payments_topic), rows
