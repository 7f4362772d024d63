"""Books that are not what a worker remembers: rows under other names, months dropped by somebody else."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from ledger.adapters.postgres import locking, reading
from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.peeking import without_locks
from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.adapters.sealing import Seals
from ledger.adapters.system import SystemClock
from ledger.application.payment_ports import Change, PaymentKey
from ledger.application.post_events import Batch, PostEvents
from ledger.config import Settings
from ledger.contract.decode import decode_event
from ledger.domain.books import Rules
from ledger.domain.ids import derived_id
from ledger.domain.moments import milliseconds
from ledger.domain.payments.saga import HoldFact
from ledger.observability.signals import Signals
from migrations.run import migrate
from tests.end_to_end.books import event, transfer
from tests.ports.conftest import SEALING_KEY
from tests.ports.payments import CAPTURING, told
from tests.ports.test_concurrency import eventually

SETTINGS = Settings(postgres_schema="restored")
_WAITING = "select count(*) from pg_locks where not granted"


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[Pool]:
    pool = await open_pool(postgres_dsn, SETTINGS, size=4, role=None)
    await pool.execute("drop schema if exists restored cascade")
    await migrate(postgres_dsn, SETTINGS.postgres_schema)
    await pool.execute("select make_event_partitions(now() - interval '400 days', 1)")
    yield pool
    await pool.close()


@pytest.fixture(params=[False, True], ids=["few", "many"])
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the balances of small batches locked as those of large ones, too."""
    if request.param:
        monkeypatch.setattr(locking, "MANY", 2)
        monkeypatch.setattr(locking, "FIRST_LOCKED", 1)


def poster(pool: Pool, rules: Rules | None = None) -> PostEvents:
    return PostEvents(PostgresBooks(pool), SystemClock(), rules or Rules(), Signals(), backoff_max_s=0.01)


async def credit_of(pool: Pool, account: str) -> Any:
    return await pool.fetchval(
        "select b.posted_credits from balances b join accounts a using (tenant_id, account_id) where a.code = $1",
        account,
    )


async def give_to_bob(pool: Pool) -> None:
    """Have the row of ann's balance be one of bob's, as where books were restored and their numbers given anew."""
    await pool.execute("update accounts set code = 'bob' where code = 'ann'")
    await pool.execute(
        "update balances b set made_at = default from accounts a where a.account_id = b.account_id and a.code = 'bob'"
    )


@pytest.mark.usefixtures("many")
async def test_remembered_row_under_another_name_is_not_posted_to(pool: Pool) -> None:
    post = poster(pool)
    await post(Batch([decode_event(transfer("external:bank", "ann", 1))]))
    await give_to_bob(pool)

    await post(Batch([decode_event(transfer("external:bank", "ann", 5000))]))

    assert await credit_of(pool, "bob") == 1
    assert await credit_of(pool, "ann") == 5000


@pytest.mark.usefixtures("many")
async def test_row_of_two_names_is_neither(pool: Pool) -> None:
    """What is remembered of one name and what is read of another may be one row: ids were given anew."""
    post = poster(pool)
    await post(Batch([decode_event(transfer("external:bank", "ann", 1))]))
    await give_to_bob(pool)
    await poster(pool)(Batch([decode_event(transfer("external:bank", "ann", 20))]))

    both = [transfer("external:bank", "ann", 300), transfer("external:bank", "bob", 4000)]
    async with asyncio.timeout(20):
        outcomes = await post(Batch([decode_event(each) for each in both]))

    assert [outcome.kind for outcome in outcomes] == ["posted", "posted"]
    assert (await credit_of(pool, "ann"), await credit_of(pool, "bob")) == (320, 4001)


@pytest.mark.usefixtures("many")
async def test_remembered_row_that_is_gone_is_not_posted_to(pool: Pool) -> None:
    post = poster(pool)
    await post(Batch([decode_event(transfer("external:bank", each, 1)) for each in ("ann", "bob", "cyd")]))
    of_ann = "account_id = (select account_id from accounts where code = 'ann')"
    await pool.execute(f"delete from balances where {of_ann}")

    async with asyncio.timeout(20):
        await post(
            Batch([decode_event(transfer("external:bank", each, 20)) for each in ("ann", "bob", "cyd")])
        )

    assert [await credit_of(pool, each) for each in ("ann", "bob", "cyd")] == [20, 21, 21]


@pytest.mark.usefixtures("many")
async def test_remembered_tenant_under_another_name_is_not_posted_to(pool: Pool) -> None:
    post = poster(pool)
    await post(Batch([decode_event(transfer("external:bank", "ann", 1))]))
    await pool.execute("update tenants set code = 'other' where code = 'acme'")

    await post(Batch([decode_event(transfer("external:bank", "ann", 5000))]))

    rows = await pool.fetch(
        "select t.code, b.posted_credits from balances b join accounts a using (tenant_id, account_id) "
        "join tenants t on t.tenant_id = b.tenant_id where a.code = 'ann'"
    )
    assert {row["code"]: row["posted_credits"] for row in rows} == {"other": 1, "acme": 5000}


async def test_id_of_a_dropped_month_is_too_old_whatever_the_settings(pool: Pool) -> None:
    old = derived_id(milliseconds(datetime.now(UTC) - timedelta(days=200)), "an event")
    lenient = Rules(dedupe_horizon=timedelta(days=365))
    first = decode_event(transfer("external:bank", "ann", 7, old))
    assert [outcome.kind for outcome in await poster(pool, lenient)(Batch([first]))] == ["posted"]

    assert await pool.fetchval("select drop_event_partitions(now() - interval '100 days')") > 0
    [again] = await poster(pool, lenient)(Batch([first]))

    assert again.reason == "event_too_old"
    assert await credit_of(pool, "ann") == 7


async def test_month_dropped_while_its_id_is_claimed_is_noticed_before_anything_is_posted(pool: Pool) -> None:
    old = derived_id(milliseconds(datetime.now(UTC) - timedelta(days=200)), "an event")
    post = poster(pool, Rules(dedupe_horizon=timedelta(days=365)))
    first = decode_event(transfer("external:bank", "ann", 7, old))
    assert [outcome.kind for outcome in await post(Batch([first]))] == ["posted"]

    async with pool.acquire() as connection, connection.transaction():
        assert await connection.fetchval("select drop_event_partitions(now() - interval '100 days')") > 0
        waiting = asyncio.create_task(post(Batch([first])))
        await eventually(partial(connection.fetchval, _WAITING))
    [again] = await waiting

    assert again.reason == "event_too_old"
    assert await credit_of(pool, "ann") == 7


async def test_ids_of_which_not_all_are_accounted_for_are_claimed_anew(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (decode_event(transfer("external:bank", "ann", amount)) for amount in (1, 20))
    await poster(pool)(Batch([first]))
    find = reading.find_processed
    told: list[dict[Any, Any]] = [{}]

    async def found(*given: Any) -> Any:
        return told.pop() if told else await find(*given)

    monkeypatch.setattr(reading, "find_processed", found)
    outcomes = await poster(pool)(Batch([first, second]))

    assert [each.kind for each in outcomes] == ["duplicate", "posted"]
    assert (await credit_of(pool, "ann"), told) == (21, [])


async def test_capture_of_a_dropped_month_is_posted_once(pool: Pool) -> None:
    old_ms = milliseconds(datetime.now(UTC) - timedelta(days=200))
    payment, capture = derived_id(old_ms, "a payment"), derived_id(old_ms, "its capture")
    await waiting_payment(pool, payment, capture)
    closing = decode_event(event("hold.capture.v1", {"hold": payment}, capture))
    assert [each.kind for each in await poster(pool)(Batch([closing]))] == ["posted"]

    assert await pool.fetchval("select drop_event_partitions(now() - interval '100 days')") > 0
    [again] = await poster(pool)(Batch([closing]))

    assert again.reason == "hold_closed"
    assert await credit_of(pool, "shop") == 70
    [answered] = await PostgresPayments(pool).answered([PaymentKey("acme", payment)])
    assert answered.said is not None
    assert answered.said.hold is HoldFact.CAPTURED


async def waiting_payment(pool: Pool, payment: str, capture: str) -> None:
    """Have a payment accepted whose saga waits for its capture."""
    await PostgresProviders(pool, Seals([SEALING_KEY]), auto_open=True).put("acme", "bank", {})
    terms = {"debit": "ann", "credit": "shop", "amount": 70, "asset": "USD/2", "provider": "bank"}
    asked = [transfer("external:bank", "ann", 1000), event("payment.request.v1", terms, payment)]
    lenient = poster(pool, Rules(dedupe_horizon=timedelta(days=365)))
    outcomes = await lenient(Batch([decode_event(each) for each in asked]))
    assert [each.kind for each in outcomes] == ["posted", "posted"]
    store = PostgresPayments(pool)
    [before] = await store.load([PaymentKey("acme", payment)])
    saga = replace(before.saga, **{**CAPTURING, "event_id": capture})
    assert await store.apply([Change(before, saga, told(saga))]) != [None]


async def test_balances_are_looked_at_in_the_order_asked_for_without_locks_too(pool: Pool) -> None:
    """Only a nested loop keeps that order: the planner may choose no other, however dear it finds it."""
    statement = without_locks(sql("lock_balances")).replace("$1", "array[1]").replace("$2", "'{1,2}'")
    async with pool.acquire() as connection:
        await connection.execute("set enable_nestloop = off")
        plan = "\n".join([row[0] for row in await connection.fetch("explain " + statement)])
    assert "for update" not in statement
    assert "Nested Loop" in plan
    assert plan.index("Function Scan on k") < plan.index("on balances")
