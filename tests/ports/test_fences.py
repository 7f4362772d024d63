"""What PostgreSQL itself refuses, whatever code runs: unbalanced entries, changes of what was posted, other tenants."""

from typing import Any

import asyncpg
import pytest

from tests.builders import event_id
from tests.ports.conftest import SCHEMA, Bench
from tests.ports.test_books import LIFE
from tests.scripts import parse

Owner = Any
"""asyncpg.Connection, which is generic to the type checker only"""

ENTRY = """
    insert into entries (tenant_id, balance_id, version, event_id, line, asset, amount, posted_debits,
                         posted_credits, posted_at)
    values (-1, $1, 1, $2, 0, $3, $4, 0, 0, now())
"""


async def lived(bench: Bench) -> int:
    """Fill the books of a tenant with a bit of everything. Returns its number."""
    await bench.post(*[step.event for step in parse(LIFE, bench.tenant) if step.event])
    async with bench.store.unit_of_work() as unit:
        found: int = await unit._connection.fetchval(  # type: ignore[attr-defined]
            "select tenant_id from tenants where code = $1", bench.tenant
        )
    return found


async def tables_of_tenants(owner: Owner) -> list[str]:
    rows = await owner.fetch(
        """
        select c.relname from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
        where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p', 'v', 'm') order by 1
        """,
        SCHEMA,
    )
    return [row["relname"] for row in rows]


# Zero


@pytest.mark.parametrize(
    "entries",
    [
        [(1, "USD/2", -5), (2, "USD/2", 4)],
        [(1, "USD/2", 5)],
        [(1, "USD/2", -5), (2, "JPY/0", 5)],
        [(1, "USD/2", 2**63 - 1), (2, "USD/2", 2**63 - 1), (3, "USD/2", -5)],
    ],
)
async def test_unbalanced_copy_is_refused(owner: Owner, entries: list[tuple[int, str, int]]) -> None:
    await owner.execute("set local role ledger_worker")
    records = [
        (-1, balance, 1, event_id(), balance, asset, amount, 0, 0, None) for balance, asset, amount in entries
    ]
    stamped = [(*record[:-1], await owner.fetchval("select now()")) for record in records]
    with pytest.raises(asyncpg.CheckViolationError, match="does not sum to zero"):
        await owner.copy_records_to_table("entries", records=stamped)


async def test_unbalanced_insert_is_refused(owner: Owner) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="5 of USD/2 too much"):
        await owner.execute(ENTRY, 1, event_id(), "USD/2", 5)


async def test_entry_of_nothing_is_refused(owner: Owner) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(ENTRY, 1, event_id(), "USD/2", 0)


async def test_balance_below_its_overdraft_is_refused(postgres: Bench, owner: Owner) -> None:
    tenant = await lived(postgres)
    with pytest.raises(asyncpg.CheckViolationError, match="within_overdraft"):
        await owner.execute("update balances set held = held + 1000000 where tenant_id = $1", tenant)


# Append-only


@pytest.mark.parametrize("table", ["entries", "transactions"])
@pytest.mark.parametrize(
    "change",
    ["update {} set posted_at = now()", "delete from {}", "delete from {} where false", "truncate {}"],
)
async def test_owner_cannot_change_what_was_posted(owner: Owner, table: str, change: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await owner.execute(change.format(table))


@pytest.mark.parametrize("table", ["entries", "transactions"])
@pytest.mark.parametrize("change", ["update {} set posted_at = now()", "delete from {}", "truncate {}"])
async def test_worker_cannot_change_what_was_posted(owner: Owner, table: str, change: str) -> None:
    await owner.execute("set local role ledger_worker")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await owner.execute(change.format(table))


@pytest.mark.parametrize("change", ["update {} set late = true", "delete from {}", "truncate {}"])
async def test_owner_cannot_change_links(owner: Owner, change: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await owner.execute(change.format("chain_links"))


BEGUN = """
    insert into replays (replay_id, target, source, done_by, why, started_at, saved_at, state, counts)
    values ($1, 'live', '{}', 'ann', 'a lost second', now(), now(), '{}', '{}')
"""


@pytest.mark.parametrize(
    "change",
    [
        *(f"update replays set {name} = 'x'" for name in ("done_by", "why")),
        """update replays set source = '{"file": "x"}'""",
        "update replays set target = 'into'",
        "update replays set started_at = now() - interval '1 day'",
        "update replays set replay_id = gen_random_uuid()",
        "delete from replays",
        "truncate replays",
    ],
)
async def test_owner_cannot_change_who_replayed_what_and_why(owner: Owner, change: str) -> None:
    await owner.execute(BEGUN, event_id("replay"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="who replayed what"):
        await owner.execute(change)


async def test_replay_that_ended_stays_as_it_ended(owner: Owner) -> None:
    await owner.execute(BEGUN, event_id("replay"))
    counts = """update replays set saved_at = now(), state = '{"0": 1}', counts = '{"posted": 1}'"""
    await owner.execute(counts)
    await owner.execute(f"{counts}, ended_at = now()")
    for change in (counts, "update replays set ended_at = null"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="who replayed what"):
            async with owner.transaction():
                await owner.execute(change)


async def granted(owner: Owner, role: str, privilege: str) -> set[str]:
    rows = await owner.fetch(
        """
        select relname from pg_class
        where relnamespace = $1::regnamespace and relkind in ('r', 'p', 'v', 'm')
          and has_table_privilege($2, oid, $3)
        """,
        SCHEMA,
        role,
        privilege,
    )
    return {row["relname"] for row in rows}


@pytest.mark.parametrize("privilege", ["truncate", "references", "trigger"])
async def test_worker_may_do_nothing_but_post(owner: Owner, privilege: str) -> None:
    assert await granted(owner, "ledger_worker", privilege) == set()


async def test_worker_cannot_delete_what_counts(owner: Owner) -> None:
    kept = {"tenants", "accounts", "balances", "transactions", "entries", "holds", "reversals"}
    kept |= {"processed_events", "stream_offsets", "payments", "payment_steps", "chain_links", "chain_heads"}
    assert await granted(owner, "ledger_worker", "delete") & kept == set()


async def test_worker_updates_only_what_moves(owner: Owner) -> None:
    final = {"tenants", "transactions", "entries", "payments", "payment_steps", "chain_links"}
    assert await granted(owner, "ledger_worker", "update") & final == set()


async def test_worker_cannot_change_what_was_asked_for(owner: Owner) -> None:
    await owner.execute("set local role ledger_worker")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await owner.execute("update payments set amount = amount + 1")


@pytest.mark.parametrize("privilege", ["insert", "update", "delete", "truncate"])
async def test_api_cannot_write_to_the_books(owner: Owner, privilege: str) -> None:
    books = {"accounts", "balances", "transactions", "entries", "holds", "reversals", "processed_events"}
    books |= {"payments", "payment_steps", "providers"}
    assert await granted(owner, "ledger_api", privilege) & books == set()


# Tenants


async def seen(owner: Owner, table: str) -> set[int] | None:
    """Give the tenants whose rows can be seen; None where the table cannot be read at all."""
    try:
        async with owner.transaction():
            rows = await owner.fetch(f"select distinct tenant_id from {table}")
    except asyncpg.InsufficientPrivilegeError:
        return None
    return {row["tenant_id"] for row in rows}


async def test_api_sees_nothing_without_a_tenant(postgres: Bench, owner: Owner) -> None:
    await lived(postgres)
    await owner.execute("set local role ledger_api")
    views = {table: await seen(owner, table) for table in await tables_of_tenants(owner)}
    assert {table for table, tenants in views.items() if tenants} == set()


async def test_api_sees_one_tenant_only(memory: Bench, postgres: Bench, owner: Owner) -> None:
    tenant = await lived(postgres)
    postgres.tenant = memory.tenant
    assert await lived(postgres) != tenant
    await owner.execute("set local role ledger_api")
    await owner.execute(f"set local ledger.tenant_id = '{tenant}'")
    views = {table: await seen(owner, table) for table in await tables_of_tenants(owner)}
    assert {table for table, tenants in views.items() if tenants and tenants != {tenant}} == set()
    assert {table for table, tenants in views.items() if tenants} >= {
        "tenants",
        "accounts",
        "balances",
        "transactions",
        "entries",
        "holds",
        "reversals",
        "processed_events",
    }


async def test_tenant_does_not_outlive_its_transaction(postgres: Bench, owner: Owner) -> None:
    tenant = await lived(postgres)
    await owner.execute("set local role ledger_api")
    async with owner.transaction():
        await owner.execute(f"set local ledger.tenant_id = '{tenant}'")
    # A setting that was local leaves an empty string behind, which is no tenant.
    await owner.execute("select set_config('ledger.tenant_id', '', true)")
    assert await seen(owner, "accounts") == set()


async def test_row_security_is_forced_where_the_api_reads(owner: Owner) -> None:
    loose = await owner.fetch(
        """
        select relname from pg_class c
        where relnamespace = $1::regnamespace and relkind in ('r', 'p')
          and has_table_privilege('ledger_api', oid, 'select')
          and not (relrowsecurity and relforcerowsecurity)
          and exists (select from pg_attribute where attrelid = c.oid and attname = 'tenant_id')
        """,
        SCHEMA,
    )
    assert [row["relname"] for row in loose] == []


async def test_roles_cannot_log_in(owner: Owner) -> None:
    rows = await owner.fetch(
        "select rolname, rolcanlogin, rolsuper, rolbypassrls from pg_roles where rolname ~ '^ledger_' order by 1"
    )
    assert [tuple(row) for row in rows][:2] == [
        ("ledger_api", False, False, False),
        ("ledger_worker", False, False, True),
    ]
