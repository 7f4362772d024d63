"""The migrated database: its tables are those that the code sees, and its months come and go."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from ledger.adapters.postgres.engine import open_engine
from ledger.adapters.postgres.tables import METADATA
from migrations.run import current_revision, head_revision, migrate
from tests.builders import event_id

MONTHS = "months"
"""A schema of its own, because its partitions come and go."""


@pytest.fixture(scope="module")
async def months_dsn(postgres_dsn: str) -> str:
    await migrate(postgres_dsn, MONTHS)
    return postgres_dsn


@pytest.fixture
async def months(months_dsn: str) -> AsyncIterator[Any]:
    """The owner's connection in a transaction that is rolled back, far from UTC."""
    settings = {"search_path": MONTHS, "timezone": "America/New_York"}
    connection = await asyncpg.connect(months_dsn, server_settings=settings)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def put(months: Any, moment: datetime, name: object = "e") -> str:
    """Put an event of that time in. Returns the partition that it went to."""
    found: str = await months.fetchval(
        """
        insert into processed_events (event_id, tenant_id, fingerprint, type, kind, posted_at)
        values ($1, 1, '', 't', 'posted', now()) returning tableoid::regclass::text
        """,
        event_id(name, moment),
    )
    return found


async def where(months: Any, moment: datetime, name: object = "e") -> str:
    found: str = await months.fetchval(
        "select tableoid::regclass::text from processed_events where event_id = $1", event_id(name, moment)
    )
    return found


async def partitions(months: Any) -> list[str]:
    rows = await months.fetch(
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'processed_events'::regclass"
    )
    return sorted(row["name"] for row in rows)


AUGUST = datetime(2024, 8, 1, tzinfo=UTC)
TICK = timedelta(milliseconds=1)


async def test_tables_are_those_of_the_code(months_dsn: str) -> None:
    engine = open_engine(months_dsn, MONTHS)
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()
    assert differences == []


def _differences(connection: sa.Connection) -> list[Any]:
    options = {"compare_type": True, "include_object": _is_no_partition, "compare_server_default": True}
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
    return found


def _is_no_partition(_: Any, name: str | None, kind: str, *__: Any) -> bool:
    return not (kind == "table" and (name or "").startswith(("processed_events_", "alembic_version")))


async def test_migrating_again_changes_nothing(months_dsn: str) -> None:
    assert await migrate(months_dsn, MONTHS) == (head_revision(), head_revision())


async def test_two_may_migrate_at_once(postgres_dsn: str) -> None:
    results = await asyncio.gather(*[migrate(postgres_dsn, "raced") for _ in range(3)])
    assert sorted(before or "" for before, _ in results) == ["", head_revision(), head_revision()]


BY_TIME = "transactions_by_time"
POST = (
    "insert into transactions (event_id, tenant_id, type, posted_at, effective_at)"
    " values (gen_random_uuid(), 1, 't', now(), now())"
)


@pytest.fixture
async def used(postgres_dsn: str) -> AsyncIterator[Any]:
    """Books of the version before the chain, that hold a transaction."""
    await migrate(postgres_dsn, "used")
    connection: Any = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "used"})
    await connection.execute("drop table chain_links, chain_heads, chain_progress, verifications")
    await connection.execute(f"drop index {BY_TIME}")
    await connection.execute("alter table balances drop column made_at")
    await connection.execute("update used.alembic_version set version_num = '0008'")
    await connection.execute(POST)
    yield connection
    await connection.close()
    async with asyncpg.create_pool(postgres_dsn, min_size=1) as pool:
        await pool.execute("drop schema used cascade")


async def is_valid(connection: Any, index: str) -> bool | None:
    found: bool | None = await connection.fetchval(
        "select indisvalid from pg_index where indexrelid = to_regclass($1)", index
    )
    return found


async def test_books_in_use_are_migrated_while_somebody_posts(used: Any, postgres_dsn: str) -> None:
    posting = used.transaction()
    await posting.start()
    await used.execute(POST)
    migrating = asyncio.create_task(migrate(postgres_dsn, "used"))
    while await current_revision(postgres_dsn, "used") != head_revision():
        await asyncio.sleep(0.05)
        assert not migrating.done()
    settings = {"search_path": "used", "lock_timeout": "2s"}
    other: Any = await asyncpg.connect(postgres_dsn, server_settings=settings)
    while await is_valid(other, BY_TIME) is None:  # noqa: ASYNC110  # a database has no event
        await asyncio.sleep(0.05)
    await other.execute(POST)
    await other.close()
    await posting.commit()
    await migrating
    assert await is_valid(used, BY_TIME)


async def test_index_that_was_broken_off_is_made_anew(used: Any, postgres_dsn: str) -> None:
    await migrate(postgres_dsn, "used")
    await used.execute("update pg_index set indisvalid = false where indexrelid = to_regclass($1)", BY_TIME)
    await asyncio.gather(*[migrate(postgres_dsn, "used") for _ in range(3)])
    assert await is_valid(used, BY_TIME)


async def test_owner_who_sees_no_rows_makes_no_index_within_a_transaction(used: Any) -> None:
    within = used.transaction()
    await within.start()
    await used.execute("create role blind; grant usage, create on schema used to blind")
    await used.execute("alter table transactions owner to blind; set local role blind")
    assert await used.fetchval("select count(*) from transactions") == 0
    text = (files("migrations") / "sql" / "0009_chain_links.sql").read_text()
    for statement in text.split("\n--;\n"):
        await used.execute(statement)
    assert await is_valid(used, BY_TIME) is None
    await used.execute("reset role")
    assert await used.fetchval("select count(*) from transactions") == 1
    await within.rollback()


async def test_locked_table_is_tried_again(used: Any, postgres_dsn: str) -> None:
    held = used.transaction()
    await held.start()
    await used.execute("lock table used.alembic_version in access exclusive mode")
    migrating = asyncio.create_task(migrate(postgres_dsn, "used"))
    waiting = (
        "select count(*) from pg_locks where not granted and relation = 'used.alembic_version'::regclass"
    )
    for expected in (True, False, True):
        while bool(await used.fetchval(waiting)) is not expected:  # noqa: ASYNC110  # a database has no event
            await asyncio.sleep(0.02)
    await held.rollback()
    assert await migrating == ("0008", head_revision())


async def test_address_may_hold_options(postgres_dsn: str) -> None:
    assert await current_revision(f"{postgres_dsn}?sslmode=prefer", "nowhere") is None


async def test_schema_without_books_has_no_version(postgres_dsn: str) -> None:
    assert await current_revision(postgres_dsn, "nothing_here") is None


# Months


async def test_month_is_made_once(months: Any) -> None:
    assert await months.fetchval("select make_event_partition($1)", AUGUST)
    assert not await months.fetchval("select make_event_partition($1)", AUGUST)


async def test_month_begins_and_ends_to_the_millisecond(months: Any) -> None:
    await months.execute("select make_event_partition($1)", AUGUST)
    september = AUGUST + timedelta(days=31)
    assert [await put(months, moment) for moment in (AUGUST - TICK, AUGUST, september - TICK, september)] == [
        "processed_events_default",
        "processed_events_2024_08",
        "processed_events_2024_08",
        "processed_events_default",
    ]


async def test_event_of_no_month_moves_when_it_is_made(months: Any) -> None:
    middle = AUGUST + timedelta(days=9)
    for moment in (middle, AUGUST - TICK):
        assert await put(months, moment) == "processed_events_default"
    await months.execute("select make_event_partition($1)", AUGUST)
    assert (await where(months, middle), await where(months, AUGUST - TICK)) == (
        "processed_events_2024_08",
        "processed_events_default",
    )


async def test_far_future_waits_for_its_month(months: Any) -> None:
    future = datetime(2199, 12, 31, 23, 59, tzinfo=UTC)
    assert await put(months, future) == "processed_events_default"
    await months.execute("select make_event_partition($1)", datetime(2199, 12, 1, tzinfo=UTC))
    assert await where(months, future) == "processed_events_2199_12"


async def test_moved_event_is_still_known(months: Any) -> None:
    await put(months, AUGUST)
    await months.execute("select make_event_partition($1)", AUGUST)
    with pytest.raises(asyncpg.UniqueViolationError):
        await put(months, AUGUST)


async def test_months_from_since_to_ahead_are_made(months: Any) -> None:
    made = await months.fetchval("select make_event_partitions(now() - interval '62 days', 2)")
    again = await months.fetchval("select make_event_partitions(now() - interval '62 days', 2)")
    assert (made in (5, 6), again, len(await partitions(months))) == (True, 0, made + 1)


async def test_now_has_a_month(months: Any) -> None:
    await months.execute("select make_event_partitions(now(), 0)")
    now = await months.fetchval("select now()")
    assert await put(months, now) == f"processed_events_{now:%Y_%m}"


async def test_only_months_past_the_horizon_are_dropped(months: Any) -> None:
    for month in (7, 8, 9):
        await months.execute("select make_event_partition($1)", datetime(2024, month, 1, tzinfo=UTC))
    before_the_end = datetime(2024, 9, 1, tzinfo=UTC) - TICK
    assert await months.fetchval("select drop_event_partitions($1)", before_the_end) == 1
    assert await months.fetchval("select drop_event_partitions($1)", datetime(2024, 9, 1, tzinfo=UTC)) == 1
    assert await partitions(months) == ["processed_events_2024_09", "processed_events_default"]


async def test_default_partition_is_never_dropped(months: Any) -> None:
    await months.execute("select drop_event_partitions(now() + interval '100 years')")
    assert await partitions(months) == ["processed_events_default"]


async def test_temporary_table_stands_in_for_nothing(months: Any) -> None:
    await months.execute("set local role ledger_worker")
    await months.execute("create temporary table processed_events (event_id uuid)")
    assert await months.fetchval("select make_event_partitions(now(), 0)") == 1


async def test_worker_may_make_months(months: Any) -> None:
    await months.execute("set local role ledger_worker")
    assert await months.fetchval("select make_event_partitions(now(), 0)") == 1


@pytest.mark.parametrize(
    ("role", "call"),
    [
        ("ledger_worker", "drop_event_partitions(now())"),
        ("ledger_worker", "make_event_partition(now())"),
        ("ledger_api", "make_event_partitions(now(), 0)"),
        ("ledger_api", "drop_event_partitions(now())"),
    ],
)
async def test_nobody_else_touches_months(months: Any, role: str, call: str) -> None:
    await months.execute(f"set local role {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await months.execute(f"select {call}")
