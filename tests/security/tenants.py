"""What of the books each role can reach, as the catalog of PostgreSQL tells it, and no list of ours."""

from collections.abc import Sequence
from typing import Any

Owner = Any
"""asyncpg.Connection, which is generic to the type checker only"""

_UNFENCED = """
    select c.relname || case
        when not c.relrowsecurity then ': no row-level security'
        when not c.relforcerowsecurity then ': its owner passes row-level security'
        else ': no policy asks for the tenant' end
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and not (c.relrowsecurity and c.relforcerowsecurity and exists (
          select from pg_policy p
          where p.polrelid = c.oid and pg_get_expr(p.polqual, p.polrelid) like '%ledger.tenant_id%'))
    order by 1
"""
_OPEN_PARTITIONS = """
    select c.relname from pg_class c
    where c.relnamespace = $1::regnamespace and c.relispartition
      and has_table_privilege('ledger_api', c.oid, 'select, insert, update, delete')
"""
_DEFINERS_VIEWS = """
    select c.relname from pg_class c
    where c.relnamespace = $1::regnamespace and c.relkind in ('v', 'm')
      and has_table_privilege('ledger_api', c.oid, 'select')
      and not coalesce(c.reloptions @> array['security_invoker=true'], false)
"""
_DEFINERS_FUNCTIONS = """
    select p.proname from pg_proc p
    where p.pronamespace = $1::regnamespace and p.prosecdef and has_function_privilege('ledger_api', p.oid, 'execute')
"""
_PASSING_ROLES = (
    "select rolname from pg_roles where rolname ~ '^ledger_' and (rolbypassrls or rolsuper) order by 1"
)
_TABLES = """
    select c.relname from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by 1
"""
_COLUMNS = """
    select attname from pg_attribute
    where attrelid = to_regclass(format('%I.%I', $1::text, $2::text)) and attnum > 0 and not attisdropped
      and attidentity = '' and attgenerated = '' order by attnum
"""


async def unfenced_tables(owner: Owner, schema: str) -> list[str]:
    """Give the tables that hold tenants' rows and do not keep them apart, each with what it lacks."""
    return await _names(owner, _UNFENCED, schema)


async def open_partitions(owner: Owner, schema: str) -> list[str]:
    """Give the partitions that the API could read past the policies of their table."""
    return await _names(owner, _OPEN_PARTITIONS, schema)


async def views_of_their_owner(owner: Owner, schema: str) -> list[str]:
    """Give the views through which the API would read as somebody else."""
    return await _names(owner, _DEFINERS_VIEWS, schema)


async def functions_of_their_owner(owner: Owner, schema: str) -> list[str]:
    """Give the functions in which the API would be somebody else."""
    return await _names(owner, _DEFINERS_FUNCTIONS, schema)


async def passing_roles(owner: Owner) -> list[str]:
    """Give the roles of the ledger that pass row-level security."""
    return await _names(owner, _PASSING_ROLES)


async def columns_of(owner: Owner, schema: str, table: str) -> list[str]:
    """Give the columns of a table that can be set."""
    return await _names(owner, _COLUMNS, schema, table)


async def tables_of_tenants(owner: Owner, schema: str) -> list[str]:
    return await _names(owner, _TABLES, schema)


async def _names(owner: Owner, statement: str, *arguments: str) -> list[str]:
    rows: Sequence[Any] = await owner.fetch(statement, *arguments)
    return [row[0] for row in rows]
