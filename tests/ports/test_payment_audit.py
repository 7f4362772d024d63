"""Whoever changes a payment by hand is found; sound ones pass every check."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from ledger.adapters.postgres.audit import PostgresAuditor
from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.payment_reader import PostgresPaymentReader
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.sealing import Seals
from ledger.application.verify_books import BOOK_CHECKS
from ledger.config import Settings
from ledger.domain.commands import Event
from ledger.domain.comparing import differences
from ledger.domain.payments.saga import ChargeFact, State
from migrations.run import migrate
from tests.ports.conftest import Bench, PostgresLook
from tests.ports.payments import CAPTURING, RELEASING, Office

SCHEMA = "audited"
FEE = {"account": "fees", "amount": 2}
DEADLINE = "2026-11-21T12:00:00+01:00"

Audited = tuple[asyncpg.Connection, str, list[Event]]


@pytest.fixture(scope="module")
async def told(postgres_dsn: str) -> AsyncIterator[tuple[str, list[Event]]]:
    """Books with a payment at each end, one on its way, and one that was refused; gives the tenant and requests."""
    await migrate(postgres_dsn, SCHEMA)
    pool = await open_pool(postgres_dsn, Settings(postgres_schema=SCHEMA), size=4)
    store = PostgresPayments(pool)
    bench = Bench(PostgresBooks(pool), PostgresLook(pool))
    reader = PostgresPaymentReader.of_all(pool)
    office = Office(bench, store, reader, PostgresProviders(pool, Seals([]), auto_open=True))
    settled, released, _ = await office.accept("settled", "released", "held", fee=FEE, deadline=DEADLINE)
    await office.accept("without a fee")
    settling, releasing = await office.move(settled, **CAPTURING), await office.move(released, **RELEASING)
    assert settling is not None
    assert releasing is not None
    await bench.post(
        office.closing("capture", "capture", "settled"), office.closing("void", "void", "released")
    )
    await office.move(settling, state=State.SETTLED, step=None, next_at=None, charge=ChargeFact.CHARGED)
    await office.move(releasing, state=State.RELEASED, step=None, next_at=None)
    yield (
        bench.tenant,
        [office.request("settled", fee=FEE, deadline=DEADLINE), office.request("without a fee")],
    )
    await pool.close()


@pytest.fixture
async def audited(told: tuple[str, list[Event]], postgres_dsn: str) -> AsyncIterator[Audited]:
    """A superuser with the triggers off, in a transaction that is rolled back."""
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": SCHEMA})
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("set local session_replication_role = replica")
    yield connection, *told
    await transaction.rollback()
    await connection.close()


async def auditor_of(connection: Any) -> PostgresAuditor:
    rows = await connection.fetch("select tenant_id, code from tenants")
    return PostgresAuditor(connection, {row["tenant_id"]: row["code"] for row in rows})


async def broken(connection: Any) -> set[str]:
    auditor = await auditor_of(connection)
    checks = [await auditor.check(name) for name in BOOK_CHECKS]
    assert all(len(violation) > 2 for check in checks for violation in check.violations)
    return {check.name for check in checks if not check.ok}


async def test_sound_payments_pass_every_check(audited: Audited) -> None:
    connection, _, _ = audited
    assert await broken(connection) == set()
    assert (await (await auditor_of(connection)).check("sagas")).checked == 4


CAPTURE = "(select event_id from transactions where captures is not null)"
SETTLED = "state = 'settled'"

CORRUPTIONS: dict[str, tuple[str, set[str]]] = {
    "a payment that is gone": ("delete from payments", {"one_outcome", "holds", "sagas"}),
    "a payment that nobody asked for": (
        "update processed_events set type = 'hold.place.v1' where type = 'payment.request.v1'",
        {"one_outcome"},
    ),
    "whom it is for": (f"update payments set credit = 'eve' where {SETTLED}", {"sagas"}),
    "its amount": (f"update payments set amount = amount + 1 where {SETTLED}", {"holds", "sagas"}),
    "its fee": (f"update payments set fee_amount = 3 where {SETTLED}", {"holds"}),
    "where its fee goes": (f"update payments set fee_account = 'eve' where {SETTLED}", {"holds"}),
    "its state": ("update payments set state = 'charged' where state = 'funds_held'", {"sagas"}),
    "the state of its saga": (
        "update payments set saga = replace(saga::text, 'funds_held', 'charging')::json",
        {"sagas"},
    ),
    "its deadline": ("update payments set deadline = deadline + interval '1 s'", {"sagas"}),
    "what it publishes": (f"update payments set publishes = event_id where {SETTLED}", {"sagas"}),
    "its version": ("update payments set version = version + 1", {"sagas"}),
    "a line of its timeline": ("delete from payment_steps where number = 2", {"sagas"}),
    "a line for nothing": (
        "update payment_steps set event_id = gen_random_uuid() where number = 3",
        {"sagas"},
    ),
    "an end with its hold open": (
        "update payments set state = 'released', due_at = null, "
        """saga = replace(replace(saga::text, '"funds_held"', '"released"'), '"next_at":"', '"was":"')::json """
        "where state = 'funds_held'",
        {"sagas"},
    ),
    "settled without a capture": (
        "update payments set state = 'settled' where state = 'released'",
        {"sagas"},
    ),
    "the fee in the entries": (
        f"update entries set amount = amount + case line when 1 then 1 when 2 then -1 else 0 end "
        f"where event_id in {CAPTURE}",
        {"holds", "balances", "versions"},
    ),
}


@pytest.mark.parametrize("what", CORRUPTIONS)
async def test_changed_row_is_found(audited: Audited, what: str) -> None:
    connection, _, _ = audited
    damage, expected = CORRUPTIONS[what]
    await connection.execute(damage)
    assert await broken(connection) == expected


ENDED_OTHERWISE = "payment has ended otherwise than its hold"
SETTLED_ONE = f"(select event_id from payments where {SETTLED})"
GIVEN_UP = (
    "update payment_steps set state = '{end}' where number = 3 and event_id in " + SETTLED_ONE + "; "
    "update payments set state = '{end}', saga = replace(replace(saga::text, '\"settled\"', '\"{end}\"'), "
    '\'"charge":"charged"\', \'"charge":"refunded"\')::json where ' + SETTLED
)
WITHOUT_A_CHARGE = (
    "update payments set saga = replace(saga::text, "
    '\'"charge":"charged"\', \'"charge":"{fact}"\')::json where '
)
ENDS = {
    "released": (GIVEN_UP.format(end="released"), [ENDED_OTHERWISE]),
    "expired": (GIVEN_UP.format(end="expired"), [ENDED_OTHERWISE]),
    "refunded": (GIVEN_UP.format(end="refunded"), [ENDED_OTHERWISE]),
    "refunded, and the hold closed by hand": (
        "update payment_steps set happening = 'told_hold_closed' where number = 2; "
        + GIVEN_UP.format(end="refunded"),
        [],
    ),
    "refunded, and the hold was not closed when an operator said so": (
        "update payment_steps set happening = 'told_hold_closed', verdict = 'contradiction' where number = 2; "
        + GIVEN_UP.format(end="refunded"),
        [ENDED_OTHERWISE],
    ),
    "settled, and nothing charged": (
        WITHOUT_A_CHARGE.format(fact="none") + SETTLED,
        ["payment has settled without a charge"],
    ),
    "settled, and the charge refunded": (
        WITHOUT_A_CHARGE.format(fact="refunded") + SETTLED,
        ["payment has settled without a charge"],
    ),
    "settled, and nothing known of a charge": (
        f"update payments set saga = (saga::jsonb - 'charge')::json where {SETTLED}",
        ["payment has settled without a charge"],
    ),
}


@pytest.mark.parametrize("what", ENDS)
async def test_end_that_does_not_go_with_what_was_captured_is_found(audited: Audited, what: str) -> None:
    connection, _, _ = audited
    damage, expected = ENDS[what]
    await connection.execute(damage)
    assert await said_of_sagas(connection) == expected


async def said_of_sagas(connection: Any) -> list[str]:
    check = await (await auditor_of(connection)).check("sagas")
    return [violation["what"] for violation in check.violations]


CHANGES = {
    "nothing": ("select 1", ["", ""]),
    "the provider": ("update payments set provider = 'other'", ["payment", "payment"]),
    "the fee": ("update payments set fee_amount = 1 where fee_amount > 0", ["payment", ""]),
    "the deadline": ("update payments set deadline = deadline + interval '1 s'", ["payment", ""]),
    "the hold": ("update holds set credit = 'eve'", ["hold", "hold"]),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_requests_are_compared_with_what_is_stored(audited: Audited, what: str) -> None:
    connection, _, requests = audited
    damage, expected = CHANGES[what]
    await connection.execute(damage)
    auditor = await auditor_of(connection)
    placed = [event_at(each, offset) for offset, each in enumerate(requests)]
    handled = await auditor.handled("none", 0, (0, 9), placed)
    found = [",".join(differences(each, handled.stored[each.offset or 0])) for each in placed]
    assert found == expected


def event_at(request: Event, offset: int) -> Event:
    return msgspec.structs.replace(request, partition=0, offset=offset)
