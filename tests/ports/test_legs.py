"""Payments to another tenant in both tenants' books: the legs mirror each other, and whoever changes one is found."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from ledger.adapters.postgres.audit import PostgresAuditor
from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.leg_audit import audit_legs, audit_legs_in
from ledger.adapters.postgres.legs import leg_ids
from ledger.adapters.postgres.payment_reader import PostgresPaymentReader
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.postgres.types import Pool
from ledger.adapters.sealing import Seals
from ledger.application import leg_desk
from ledger.application.ledger_provider import LedgerProvider
from ledger.application.leg_desk import LegDesk
from ledger.application.legs import LegIds
from ledger.application.payment_calls import ask
from ledger.application.payment_ports import Payment
from ledger.application.providers import Accepted, AnyAnswer, Declined
from ledger.config import Settings
from ledger.contract.decode import decode_event
from ledger.domain.payments.commands import Charge, Refund
from ledger.domain.payments.saga import ChargeFact, State, Step
from migrations.run import migrate
from tests.builders import event, event_id, transfer
from tests.ports.conftest import Bench, PostgresLook
from tests.ports.payments import CAPTURING, RELEASING, Office

SCHEMA = "legs"
FEE = {"account": "fees", "amount": 20}


@pytest.fixture(autouse=True, scope="module")
def _no_waits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leg_desk, "LOOK_S", 0.0)
        yield


class Payer:
    """A tenant who pays another one of the same books."""

    def __init__(self, office: Office, ids: LegIds) -> None:
        self.office = office
        self.bench = office.bench
        self.rival = f"{self.bench.tenant}-rival"
        self.provider = LedgerProvider(self.rival, LegDesk(office.store, self, lambda: 0.0), ids)

    async def publish(self, key: bytes, value: bytes) -> None:
        await self.bench.post(decode_event(value))

    async def begin(self, overdraft: int = 10_000) -> None:
        """Give the payer money, and the agreement of the other."""
        agreed = {"account": f"transit:{self.bench.tenant}", "overdraft": overdraft}
        await self.bench.post(
            transfer("external:bank", "ann", 5000, name="money", tenant=self.bench.tenant),
            event("account.open.v1", agreed, name="agreed", tenant=self.rival),
        )

    async def request(self, name: str, **more: Any) -> Payment:
        request = self.office.request(name, provider=f"ledger:{self.rival}", **more)
        assert await self.bench.answers(request) == ["posted"]
        return await self.office.read(name)

    async def charge(self, payment: Payment) -> AnyAnswer:
        return await ask(self.provider, payment, Charge(payment.saga.key(Step.CHARGE), 1))

    async def refund(self, payment: Payment) -> AnyAnswer:
        return await ask(self.provider, payment, Refund(payment.saga.key(Step.REFUND), 2))

    async def end(self, name: str, verb: str, payment: Payment, state: State, **facts: Any) -> None:
        """Capture or void the hold of a payment, and end it."""
        way = CAPTURING if verb == "capture" else RELEASING
        moving = await self.office.move(payment, **{**way, "event_id": event_id(f"{verb} {name}"), **facts})
        assert moving is not None
        await self.bench.post(self.office.closing(verb, f"{verb} {name}", name))
        assert await self.office.move(moving, state=state, step=None, next_at=None) is not None

    async def settle(self, name: str, **more: Any) -> None:
        payment = await self.request(name, **more)
        charged = await self.charge(payment)
        assert isinstance(charged, Accepted)
        known = {"charge": ChargeFact.CHARGED, "charge_reference": charged.reference}
        await self.end(name, "capture", payment, State.SETTLED, **known)

    async def give_back(self, name: str) -> None:
        payment = await self.request(name, fee=FEE)
        charged = await self.charge(payment)
        assert isinstance(charged, Accepted)
        known: dict[str, Any] = {"charge": ChargeFact.REFUNDED, "charge_reference": charged.reference}
        told = await self.office.move(payment, state=State.REFUNDING, step=Step.REFUND, **known)
        assert told is not None
        assert isinstance(await self.refund(told), Accepted)
        await self.end(name, "void", told, State.REFUNDED)

    async def transit(self) -> tuple[str, str]:
        """What each has of the other."""
        theirs = await self.bench.look.digest(self.rival)
        debits, credits_, *_ = theirs["balances"][f"transit:{self.bench.tenant}", "USD/2"]
        return await self.bench.balance(f"transit:{self.rival}"), str(credits_ - debits)


async def test_both_transit_accounts_mirror_each_other_and_the_fee_stays(office: Office) -> None:
    payer = Payer(office, LegIds("secret"))
    await payer.begin()
    await payer.settle("with a fee", fee=FEE)
    await payer.settle("without", amount=100)
    await payer.give_back("given back")
    ours, theirs = await payer.transit()
    assert ours.split()[0] == str(70 - 20 + 100)
    assert theirs == f"-{ours.split()[0]}"


async def test_receiver_owes_nobody_more_than_was_agreed(office: Office) -> None:
    payer = Payer(office, LegIds("secret"))
    await payer.begin(overdraft=50)
    assert isinstance(await payer.charge(await payer.request("some", fee=FEE)), Accepted)
    declined = await payer.charge(await payer.request("too much", amount=1))
    assert isinstance(declined, Declined)
    assert declined.reason == "insufficient_funds"


# The audit


@pytest.fixture(scope="module")
async def ended(postgres_dsn: str) -> AsyncIterator[tuple[Pool, Payer]]:
    """Payments to another tenant at each end, and one that is not at an end."""
    await migrate(postgres_dsn, SCHEMA)
    pool = await open_pool(postgres_dsn, Settings(postgres_schema=SCHEMA), size=4)
    office = Office(
        Bench(PostgresBooks(pool), PostgresLook(pool)),
        PostgresPayments(pool),
        PostgresPaymentReader.of_all(pool),
        PostgresProviders(pool, Seals([]), auto_open=True),
    )
    payer = Payer(office, await leg_ids(pool))
    await payer.begin(overdraft=500)
    await payer.settle("settled", fee=FEE, reference="order 7")
    await payer.give_back("refunded")
    refused = await payer.request("released", amount=501)
    assert isinstance(await payer.charge(refused), Declined)
    await payer.end("released", "void", refused, State.RELEASED)
    assert isinstance(await payer.charge(await payer.request("on its way")), Accepted)
    yield pool, payer
    await pool.close()


@pytest.fixture
async def superuser(ended: object, postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": SCHEMA})
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("set local session_replication_role = replica")
    yield connection
    await transaction.rollback()
    await connection.close()


async def test_sound_legs_pass(ended: tuple[Pool, Payer]) -> None:
    check = await audit_legs(ended[0])
    assert (check.name, check.checked, check.violations) == ("sagas", 3, [])


SETTLED = f"event_id = '{event_id('settled')}'"
REFUNDED = f"event_id = '{event_id('refunded')}'"
RELEASED = f"event_id = '{event_id('released')}'"
WRONG = {
    "a leg that is gone": (
        "delete from transactions where event_id = $1",
        ["payment has a charge, and its leg is not posted"],
    ),
    "a leg of another amount": (
        "update entries set amount = amount * 2 where event_id = $1",
        ["payment has a charge, and its leg is not posted"],
    ),
    "a leg with another reference": (
        "update transactions set reference = 'eve' where event_id = $1",
        ["payment has a charge, and its leg is not posted"],
    ),
    "a leg of a payment that was given up": (
        f"update payments set state = 'released', saga = replace(saga::text, '\"charge\":\"charged\"', "
        f'\'"charge":"none"\')::json where {SETTLED}',
        ["leg is posted, and its payment has ended without a charge"],
    ),
    "a refund that is gone": (
        "delete from reversals",
        ["payment was refunded, and its leg was not taken back"],
    ),
    "a refund of a payment that has settled": (
        f"update payments set saga = replace(saga::text, '\"refunded\"', '\"charged\"')::json where {REFUNDED}",
        ["payment has settled, and its leg was taken back"],
    ),
    "a charge that never was": (
        f'update payments set saga = (saga::jsonb || \'{{"charge":"charged"}}\')::json where {RELEASED}',
        ["payment has a charge, and its leg is not posted"],
    ),
    "a reversal by hand": (
        "insert into transactions (event_id, tenant_id, type, posted_at, effective_at, reverses) "
        "select gen_random_uuid(), tenant_id, 'transaction.reverse.v1', posted_at, posted_at, event_id "
        "from transactions where event_id = $1",
        [],
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_wrong_with_a_leg_is_found(
    ended: tuple[Pool, Payer], superuser: asyncpg.Connection, what: str
) -> None:
    damage, expected = WRONG[what]
    ids, tenant = await leg_ids(ended[0]), ended[1].bench.tenant
    given = [ids.charge(tenant, event_id("settled"))] if "$1" in damage else []
    assert (await superuser.execute(damage, *given)).split()[-1] != "0"
    check = await audit_legs_in(superuser)  # type: ignore[arg-type]
    assert [violation["what"] for violation in check.violations] == expected


async def test_payment_that_was_given_up_although_its_hold_was_captured_is_found(
    ended: tuple[Pool, Payer], superuser: asyncpg.Connection
) -> None:
    await superuser.execute(
        "update payment_steps set state = 'refunded' where state = 'settled'; "
        "update payments set state = 'refunded', saga = replace(replace(saga::text, "
        '\'"settled"\', \'"refunded"\'), \'"charge":"charged"\', \'"charge":"refunded"\')::json '
        f"where {SETTLED}; delete from transactions where type = 'transfer.post.v1' and reference = 'order 7'"
    )
    assert (await audit_legs_in(superuser)).ok  # type: ignore[arg-type]
    tenants = {row["tenant_id"]: row["code"] for row in await superuser.fetch("select * from tenants")}
    check = await PostgresAuditor(superuser, tenants).check("sagas")  # type: ignore[arg-type]
    assert [each["what"] for each in check.violations] == ["payment has ended otherwise than its hold"]


async def test_leg_whose_id_was_dropped_is_still_posted(ended: tuple[Pool, Payer], postgres_dsn: str) -> None:
    pool, payer = ended
    settled, refunded = await payer.office.read("settled"), await payer.office.read("refunded")
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": SCHEMA})
    try:
        await connection.execute("set session_replication_role = replica")
        await connection.execute("delete from processed_events where type like 'trans%'")
    finally:
        await connection.close()
    assert await payer.charge(settled) == Accepted(settled.saga.charge_reference or "")
    assert isinstance(await payer.refund(refunded), Accepted)
    assert (await audit_legs(pool)).ok
