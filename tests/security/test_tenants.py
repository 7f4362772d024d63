"""Tenants are kept apart in every table that holds rows of theirs, also in those that are yet to come."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests.end_to_end.serving_api import life, served
from tests.security import tenants
from tests.security.tenants import Owner

SCHEMA = "fenced"
OURS, THEIRS = "ours", "theirs"

NOT_FENCED: dict[str, str] = {}
"""Tables with tenants' rows and no fence, with the reason; the API may do nothing with them at all."""


@pytest.fixture(scope="module")
async def dsn(postgres_dsn: str) -> AsyncIterator[str]:
    """Books in which two tenants live."""
    async with served(postgres_dsn, SCHEMA) as api:
        await api.post(*life(OURS), *life(THEIRS))
        for tenant in (OURS, THEIRS):
            await api.key(tenant=tenant)
        yield postgres_dsn


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[Owner]:
    """The owner of the books, whose changes are all taken back."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def number_of(owner: Owner, tenant: str) -> int:
    found: int = await owner.fetchval("select tenant_id from tenants where code = $1", tenant)
    return found


@asynccontextmanager
async def acting(owner: Owner, role: str, tenant_id: str | None) -> AsyncIterator[None]:
    """Be another role, for a tenant or for none."""
    await owner.execute(f"set local role {role}")
    if tenant_id is not None:
        await owner.execute("select set_config('ledger.tenant_id', $1, true)", tenant_id)
    try:
        yield
    finally:
        await owner.execute("reset role")
        await owner.execute("select set_config('ledger.tenant_id', '', true)")


async def count(owner: Owner, statement: str) -> int | None:
    """Run a statement that changes or reads; gives how many rows it touched, None where it is not allowed."""
    try:
        async with owner.transaction():
            done: str = await owner.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return None
    return int(done.split()[-1])


# The catalog


async def test_every_table_of_tenants_keeps_them_apart(owner: Owner) -> None:
    found = await tenants.unfenced_tables(owner, SCHEMA)
    assert [each for each in found if each.partition(":")[0] not in NOT_FENCED] == []


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ((), "no row-level security"),
        (("alter table fresh enable row level security",), "its owner passes"),
        (
            (
                "alter table fresh enable row level security",
                "alter table fresh force row level security",
                "create policy all_of_it on fresh using (true)",
            ),
            "no policy asks for the tenant",
        ),
    ],
)
async def test_a_new_table_without_a_fence_is_found(owner: Owner, made: tuple[str, ...], told: str) -> None:
    await owner.execute("create table fresh (tenant_id int)")
    for statement in made:
        await owner.execute(statement)
    (found,) = [each for each in await tenants.unfenced_tables(owner, SCHEMA) if each.startswith("fresh:")]
    assert told in found


async def test_no_partition_is_read_past_its_table(owner: Owner) -> None:
    assert await tenants.open_partitions(owner, SCHEMA) == []
    await owner.execute("grant select on processed_events_default to ledger_api")
    assert await tenants.open_partitions(owner, SCHEMA) == ["processed_events_default"]


async def test_no_view_and_no_function_makes_the_api_somebody_else(owner: Owner) -> None:
    assert await tenants.views_of_their_owner(owner, SCHEMA) == []
    assert await tenants.functions_of_their_owner(owner, SCHEMA) == []
    await owner.execute("create view seen as select * from accounts; grant select on seen to ledger_api")
    await owner.execute("create function f() returns int language sql security definer as 'select 1'")
    assert await tenants.views_of_their_owner(owner, SCHEMA) == ["seen"]
    assert await tenants.functions_of_their_owner(owner, SCHEMA) == ["f"]


async def test_only_workers_pass_row_level_security(owner: Owner) -> None:
    assert await tenants.passing_roles(owner) == ["ledger_worker"]


# What the API's role can do, to every table that there is


@pytest.mark.parametrize("told", [None, "", "0", "999999", "-1"])
async def test_the_api_reads_and_changes_nothing_for_no_tenant(owner: Owner, told: str | None) -> None:
    async with acting(owner, "ledger_api", told):
        for table in await tenants.tables_of_tenants(owner, SCHEMA):
            touched = [await count(owner, statement) for statement in await statements(owner, table)]
            assert {each for each in touched if each} == set(), table


@pytest.mark.parametrize("told", ["acme", "1; reset role", "1 or true", "1.5", "99999999999999999999"])
async def test_what_is_no_number_is_no_tenant(owner: Owner, told: str) -> None:
    async with acting(owner, "ledger_api", told):
        with pytest.raises((asyncpg.DataError, asyncpg.NumericValueOutOfRangeError)):
            async with owner.transaction():
                await owner.fetch("select * from accounts")


async def test_the_api_reads_and_changes_nothing_of_another_tenant(owner: Owner) -> None:
    ours, theirs = await number_of(owner, OURS), await number_of(owner, THEIRS)
    seen = {}
    async with acting(owner, "ledger_api", str(ours)):
        for table in await tenants.tables_of_tenants(owner, SCHEMA):
            seen[table] = await count(owner, f"select from {table}")
            of_theirs = [
                await count(owner, f"{each} where tenant_id = {theirs}")
                for each in await statements(owner, table)
            ]
            assert {each for each in of_theirs if each} == set(), table
    # That there is something to see is what gives the rest its meaning.
    assert {name for name, rows in seen.items() if rows} >= {"accounts", "balances", "entries", "api_keys"}


async def test_the_api_makes_no_row_for_another_tenant(owner: Owner) -> None:
    theirs = await number_of(owner, THEIRS)
    async with acting(owner, "ledger_api", str(await number_of(owner, OURS))):
        for table in await tenants.tables_of_tenants(owner, SCHEMA):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with owner.transaction():
                    await owner.execute(
                        f"insert into {table} (tenant_id) overriding system value values ({theirs})"
                    )


async def test_a_table_whose_policy_is_gone_shows_others(owner: Owner) -> None:
    """The same questions find rows of others when a fence is taken away."""
    theirs = await number_of(owner, THEIRS)
    await owner.execute("alter table accounts no force row level security")
    await owner.execute("alter table accounts disable row level security")
    async with acting(owner, "ledger_api", str(await number_of(owner, OURS))):
        assert await count(owner, f"select from accounts where tenant_id = {theirs}")


@pytest.mark.parametrize("table", ["entries", "transactions", "chain_links", "payment_steps"])
async def test_a_worker_changes_no_row_of_anybody_that_was_written(owner: Owner, table: str) -> None:
    async with acting(owner, "ledger_worker", None):
        assert await count(owner, f"update {table} set tenant_id = 0") is None
        assert await count(owner, f"delete from {table}") is None


async def statements(owner: Owner, table: str) -> list[str]:
    """What the API might try with the rows of a table: each column is another right."""
    columns = await tenants.columns_of(owner, SCHEMA, table)
    changes = [f'update {table} set "{column}" = "{column}"' for column in columns]
    return [f"select from {table}", f"delete from {table}", *changes]
