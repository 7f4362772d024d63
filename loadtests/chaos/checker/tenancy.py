"""Whether the role that reads for a tenant can see another's rows."""

from typing import Any

from loadtests.chaos.checker.report import Finding, Report

TENANTS_MAX = 20
_TABLES = """
select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and a.attname = 'tenant_id' and not a.attisdropped
  and has_table_privilege('ledger_api', c.oid, 'select')
order by 1
"""


async def check_tenancy(connection: Any, schema: str, report: Report) -> None:
    """Read every tenant's table as the API does: with a tenant set only its rows are there, without one none."""
    tables = [row["name"] for row in await connection.fetch(_TABLES, schema)]
    tenants = await connection.fetch(
        "select tenant_id, code from tenants order by tenant_id limit $1", TENANTS_MAX
    )
    for tenant_id, code in [(None, "no tenant"), *((row["tenant_id"], row["code"]) for row in tenants)]:
        for table in tables:
            seen = await _foreign_rows(connection, table, tenant_id)
            report.checked("T", 1)
            if seen:
                report.add(
                    [Finding("T", "the API's role sees another tenant's rows", code, f"{seen} in {table}")]
                )


async def _foreign_rows(connection: Any, table: str, tenant_id: int | None) -> int:
    async with connection.transaction():
        chosen = "" if tenant_id is None else str(tenant_id)
        await connection.execute("select set_config('ledger.tenant_id', $1, true)", chosen)
        await connection.execute("set local role ledger_api")
        query = f'select count(*) from "{table}" where tenant_id is distinct from $1'  # noqa: S608
        found: int = await connection.fetchval(query, tenant_id)
        await connection.execute("reset role")
    return found
