"""One suite for every kind of books: payments that are accepted, claimed, advanced and read."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.payments import MemoryPayments
from ledger.adapters.postgres.payment_reader import PostgresPaymentReader
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.postgres.types import Pool
from ledger.application.payment_ports import (
    BooksSay,
    Change,
    Line,
    Payment,
    PaymentKey,
    PaymentReader,
    PaymentStore,
    ProviderDirectory,
)
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome, PaymentView
from ledger.domain.payments.commands import Charge
from ledger.domain.payments.saga import HoldFact, Saga, State, Step
from ledger.domain.payments.steps import Verdict
from tests.builders import NOW, USD, event, event_id, transfer
from tests.ports.conftest import Bench

LEASE = timedelta(seconds=30)
SOON = NOW + timedelta(seconds=5)


class Office:
    """Where payments of one tenant are requested, kept and read."""

    def __init__(
        self, bench: Bench, store: PaymentStore, reader: PaymentReader, providers: ProviderDirectory
    ) -> None:
        self.bench = bench
        self.store = store
        self.reader = reader
        self.providers = providers

    def key(self, name: object = "p") -> PaymentKey:
        return PaymentKey(self.bench.tenant, event_id(name))

    def request(self, name: object = "p", *, at: tuple[int, int] | None = None, **more: Any) -> Event:
        data = {"debit": "ann", "credit": "shop", "amount": 70, "asset": USD, "provider": "bank", **more}
        return event("payment.request.v1", data, name=name, tenant=self.bench.tenant, at=at)

    def closing(self, verb: str, name: object, payment: object = "p", **more: Any) -> Event:
        data = {"hold": event_id(payment), **more}
        return event(f"hold.{verb}.v1", data, name=name, tenant=self.bench.tenant)

    async def accept(self, *names: object, **more: Any) -> list[Payment]:
        """Have payments accepted, with funds enough."""
        await self.providers.put(self.bench.tenant, "bank", {})
        funds = transfer("external:bank", "ann", 1000, name=f"funds {names}", tenant=self.bench.tenant)
        answers = await self.bench.answers(funds, *[self.request(name, **more) for name in names])
        assert set(answers) == {"posted"}
        return [await self.read(name) for name in names]

    async def read(self, name: object = "p") -> Payment:
        [payment] = await self.store.load([self.key(name)])
        return payment

    async def claim(self, limit: int = 10, *, after: timedelta = timedelta()) -> list[Payment]:
        """Claim what is due, of this tenant alone: other tests share the table."""
        now = self.bench.clock.now() + after
        found = await self.store.claim(now, now + LEASE, 10_000)
        return [each for each in found if each.key.tenant == self.bench.tenant][:limit]

    async def move(self, before: Payment, line: Line | None = None, **facts: Any) -> Payment | None:
        saga = msgspec.structs.replace(before.saga, **facts)
        [stored] = await self.store.apply([Change(before, saga, line or told(saga))])
        return stored


def told(saga: Saga, **facts: Any) -> Line:
    line = Line(at=NOW, happening="woke_up", verdict=Verdict.MOVED, state=saga.state, next_at=saga.next_at)
    return msgspec.structs.replace(line, **facts)


CAPTURING: dict[str, Any] = {
    "state": State.CHARGED,
    "step": Step.CAPTURE,
    "event_id": event_id("capture"),
    "next_at": SOON,
}
RELEASING: dict[str, Any] = {
    "state": State.RELEASING,
    "step": Step.RELEASE,
    "event_id": event_id("void"),
    "next_at": SOON,
}


@pytest.fixture
def memory_office(memory: Bench) -> Office:
    assert isinstance(memory.store, MemoryBooks)
    payments = MemoryPayments(memory.store)
    return Office(memory, payments, payments, payments)


@pytest.fixture
async def postgres_office(postgres: Bench, pool: Pool) -> Office:
    reader = PostgresPaymentReader.of_all(pool)
    return Office(postgres, PostgresPayments(pool), reader, PostgresProviders(pool))


@pytest.fixture(params=["memory_office", "postgres_office"])
def office(request: pytest.FixtureRequest) -> Office:
    """Payments, in memory and then in PostgreSQL."""
    found: Office = request.getfixturevalue(request.param)
    return found


# Requests


async def test_request_is_stored_with_its_hold(office: Office) -> None:
    [payment] = await office.accept("p", fee={"account": "fees", "amount": 2}, reference="r")
    saga, terms = payment.saga, payment.terms
    assert (saga.state, saga.next_at, saga.deadline) == (
        State.FUNDS_HELD,
        NOW,
        NOW + timedelta(seconds=900),
    )
    assert (terms.amount, terms.fee_account, terms.fee_amount, terms.reference) == (70, "fees", 2, "r")
    assert await office.bench.balance("ann") == "1000 held 70 version 1"


async def test_first_line_tells_of_the_request(office: Office) -> None:
    await office.accept("p")
    [first] = await office.reader.timeline(office.key(), 0, 10)
    assert (first.number, first.line.happening, first.line.state, first.line.next_at) == (
        1,
        "requested",
        State.FUNDS_HELD,
        NOW,
    )


async def test_refused_request_is_no_payment(office: Office) -> None:
    await office.providers.put(office.bench.tenant, "bank", {})
    assert await office.bench.answers(office.request()) == ["insufficient_funds"]
    assert await office.store.load([office.key()]) == []
    assert await office.claim() == []


async def test_providers_are_known_by_tenant_and_name(office: Office) -> None:
    await office.accept("funds")
    [other] = await office.bench.post(event(tenant=f"{office.bench.tenant}-b"))
    asked = ["nobody", "ledger:nobody", f"ledger:{office.bench.tenant}", f"ledger:{other.event.tenant}"]
    requests = [office.request(name, provider=name) for name in asked]
    assert await office.bench.answers(*requests) == ["unknown_provider"] * 3 + ["posted"]


async def test_provider_that_was_removed_is_unknown(office: Office) -> None:
    await office.accept("p")
    assert await office.providers.remove(office.bench.tenant, "bank")
    assert await office.bench.answers(office.request("q")) == ["unknown_provider"]
    assert not await office.providers.remove(office.bench.tenant, "bank")


async def test_redelivered_request_shows_the_payment_as_it_stands(office: Office) -> None:
    await office.providers.put(office.bench.tenant, "bank", {})
    funds = transfer("external:bank", "ann", 1000, name="f", tenant=office.bench.tenant, at=(0, 0))
    events = [funds, office.request(at=(0, 1)), office.request("q", at=(0, 2), provider="nobody")]
    first = await office.bench.post(*events)
    assert [each.payment for each in first] == [None, PaymentView(event_id("p"), "funds_held"), None]
    assert await office.bench.post(*events) == first
    await office.move(await office.read(), **CAPTURING)
    again: list[Outcome] = await office.bench.post(*events)
    assert again[1].payment == PaymentView(event_id("p"), "charged")


# Holds of payments


async def test_only_the_stored_event_captures(office: Office) -> None:
    [payment] = await office.accept("p", fee={"account": "fees", "amount": 2})
    assert await office.bench.answers(office.closing("capture", "capture")) == ["hold_not_found"]
    # An id that was refused once has that outcome for ever: so the saga's is another.
    await office.move(payment, **CAPTURING | {"event_id": event_id("second")})
    strangers = [
        office.closing("capture", "stranger"),
        office.closing("void", "stranger 2"),
    ]
    assert await office.bench.answers(*strangers) == ["hold_not_found"] * 2
    [captured] = await office.bench.post(office.closing("capture", "second"))
    lines = [(entry.account, entry.amount) for entry in captured.entries]
    assert lines == [("ann", -70), ("shop", 68), ("fees", 2)]
    assert await office.bench.balance("ann") == "930 held 0 version 2"


async def test_only_the_stored_event_voids(office: Office) -> None:
    [payment] = await office.accept("p")
    await office.move(payment, **RELEASING)
    assert await office.bench.answers(office.closing("capture", "stranger")) == ["hold_not_found"]
    assert await office.bench.answers(office.closing("void", "void")) == ["posted"]
    assert await office.bench.balance("ann") == "1000 held 0 version 1"


async def test_stranger_in_the_batch_of_the_request_is_refused(office: Office) -> None:
    await office.accept("first")
    batch = [office.request(), office.closing("capture", "c"), office.closing("void", "v")]
    assert await office.bench.answers(*batch) == ["posted", "hold_not_found", "hold_not_found"]


# What the books say


async def test_books_say_nothing_before_there_is_an_outcome(office: Office) -> None:
    [payment] = await office.accept("p")
    await office.move(payment, **CAPTURING)
    assert await office.store.said([office.key(), office.key("none")]) == {}


async def test_books_say_what_became_of_the_event(office: Office) -> None:
    for payment, facts in zip(await office.accept("p", "q"), (CAPTURING, RELEASING), strict=True):
        await office.move(payment, **facts)
    await office.bench.post(office.closing("capture", "capture"), office.closing("void", "void", "q"))
    assert await office.store.said([office.key(), office.key("q")]) == {
        office.key(): BooksSay(event_id("capture"), True, None, HoldFact.CAPTURED),
        office.key("q"): BooksSay(event_id("void"), True, None, HoldFact.RELEASED),
    }


async def test_books_say_why_it_was_refused(office: Office) -> None:
    [payment] = await office.accept("p")
    await office.move(payment, **CAPTURING)
    close = event("account.open.v1", {"account": "shop"}, name="o", tenant=office.bench.tenant)
    shut = event("account.close.v1", {"account": "shop"}, name="s", tenant=office.bench.tenant)
    await office.bench.post(close, shut, office.closing("capture", "capture"))
    said = await office.store.said([office.key()])
    assert said[office.key()] == BooksSay(event_id("capture"), False, "account_closed", HoldFact.OPEN)


async def test_id_taken_up_by_another_event_is_refused(office: Office) -> None:
    [payment] = await office.accept("p")
    await office.move(payment, **CAPTURING)
    await office.bench.post(transfer("ann", "bob", 1, name="capture", tenant=office.bench.tenant))
    said = await office.store.said([office.key()])
    assert said[office.key()] == BooksSay(event_id("capture"), False, "event_id_reused", HoldFact.OPEN)


async def test_outcome_of_any_event(office: Office) -> None:
    await office.accept("p")
    await office.bench.post(office.closing("void", "stranger"))
    tenant = office.bench.tenant
    found = [await office.store.outcome(tenant, event_id(name)) for name in ("p", "stranger", "none")]
    assert [each and (each.posted, each.reason) for each in found] == [
        (True, None),
        (False, "hold_not_found"),
        None,
    ]


# Claims


async def test_what_is_due_is_claimed_by_one(office: Office) -> None:
    await office.accept("p")
    assert [each.key for each in await office.claim()] == [office.key()]
    assert await office.claim() == []


async def test_claim_of_a_dead_worker_ends(office: Office) -> None:
    await office.accept("p")
    await office.claim()
    assert await office.claim(after=LEASE - timedelta(milliseconds=1)) == []
    assert len(await office.claim(after=LEASE)) == 1


async def test_storing_sets_when_it_is_due(office: Office) -> None:
    await office.accept("p")
    [payment] = await office.claim()
    await office.move(payment, next_at=SOON)
    assert await office.claim(after=timedelta(seconds=4.9)) == []
    [again] = await office.claim(after=timedelta(seconds=5))
    assert (again.version, again.saga.next_at) == (2, SOON)


async def test_payment_at_an_end_is_never_due(office: Office) -> None:
    await office.accept("p")
    [payment] = await office.claim()
    await office.move(payment, state=State.RELEASED, step=None, next_at=None)
    assert await office.claim(after=timedelta(days=999)) == []


async def test_longest_due_comes_first(office: Office) -> None:
    for number, payment in enumerate(await office.accept("a", "b", "c")):
        await office.move(payment, next_at=NOW - timedelta(seconds=number))
    assert [each.key for each in await office.claim()] == [office.key(name) for name in "cba"]


async def test_workers_that_claim_at_once_share_the_work(office: Office) -> None:
    names = list(range(40))
    await office.accept(*names, amount=1)
    now = office.bench.clock.now()
    shares = await asyncio.gather(*[office.store.claim(now, now + LEASE, 7) for _ in range(12)])
    keys = [each.key for share in shares for each in share if each.key.tenant == office.bench.tenant]
    rest = [each.key for each in await office.claim()]
    assert max(map(len, shares)) <= 7
    assert sorted(keys + rest) == sorted(office.key(name) for name in names)


# Storing


async def test_zombie_is_refused_by_the_version(office: Office) -> None:
    await office.accept("p")
    [zombie] = await office.claim()
    [heir] = await office.claim(after=LEASE)
    assert await office.move(heir, attempts=1) is not None
    assert await office.move(zombie, attempts=7) is None
    assert (await office.read()).saga.attempts == 1
    assert len(await office.reader.timeline(office.key(), 0, 10)) == 2


async def test_of_many_that_store_at_once_one_succeeds(office: Office) -> None:
    [payment] = await office.accept("p")
    stored = await asyncio.gather(*[office.move(payment, attempts=number) for number in range(8)])
    [winner] = [each for each in stored if each is not None]
    assert await office.read() == winner


async def test_call_is_begun_once(office: Office) -> None:
    [payment] = await office.accept("p")
    begun = msgspec.structs.replace(payment.saga, attempts=1, awaiting=Charge("k", 1))
    line = told(begun, attempt=1, begins=True, commands=("charge",))
    [stored] = await office.store.apply([Change(payment, begun, line)])
    assert stored is not None
    again = await office.store.apply([Change(stored, begun, line)])
    assert (again, (await office.read()).version) == ([None], 2)
    assert await office.move(stored, told(begun, attempt=1)) is not None


async def test_changes_of_many_payments_are_told_one_by_one(office: Office) -> None:
    first, second = await office.accept("p", "q")
    await office.move(second, attempts=9)
    moved = [msgspec.structs.replace(each.saga, attempts=1) for each in (first, second)]
    changes = [Change(each, saga, told(saga)) for each, saga in zip((first, second), moved, strict=True)]
    assert [each and each.version for each in await office.store.apply(changes)] == [2, None]
    assert await office.store.apply([]) == []


async def test_lines_come_back_as_they_were_written(office: Office) -> None:
    [payment] = await office.accept("p")
    line = Line(
        at=NOW,
        happening="told_charged",
        verdict=Verdict.CONTRADICTION,
        state=State.NEEDS_OPERATOR,
        commands=("query_charge", "alert_operator"),
        attempt=3,
        begins=True,
        event_id=event_id("c"),
        next_at=SOON,
        detail="žluť, “why”",
        by="ann",
    )
    await office.move(payment, line, state=State.NEEDS_OPERATOR)
    [found] = await office.reader.timeline(office.key(), 1, 10)
    assert (found.number, found.line) == (2, line)


async def test_stored_sagas_come_back_as_they_were(office: Office) -> None:
    [payment] = await office.accept("p")
    facts: dict[str, Any] = {
        "awaiting": Charge("k:1", 4),
        "sent_at": SOON,
        "unknown_since": NOW,
        "reason": "a\x00b",
    }
    stored = await office.move(payment, state=State.CHARGING, **facts)
    assert stored is not None
    assert await office.read() == stored


async def test_what_cannot_be_stored_as_text_is_blanked(postgres_office: Office) -> None:
    [payment] = await postgres_office.accept("p")
    await postgres_office.move(payment, told(payment.saga, detail="a\x00b"))
    [found] = await postgres_office.reader.timeline(postgres_office.key(), 1, 10)
    assert found.line.detail == "a�b"


async def test_payments_that_are_not_at_an_end_are_counted(office: Office) -> None:
    before = {each.state: each.payments for each in await office.store.counts()}
    first, second, _ = await office.accept("a", "b", "c")
    await office.move(first, state=State.RELEASED, next_at=None)
    await office.move(second, **CAPTURING)
    counted = {each.state: each.payments for each in await office.store.counts()}
    assert counted.get(State.CHARGED, 0) - before.get(State.CHARGED, 0) == 1
    assert counted.get(State.FUNDS_HELD, 0) - before.get(State.FUNDS_HELD, 0) == 1
    assert State.RELEASED not in counted


# Reading


async def test_payments_are_listed_newest_first_page_by_page(office: Office) -> None:
    await office.accept(*range(7), amount=1)
    tenant, pages, before = office.bench.tenant, [], None
    while page := await office.reader.payments(tenant, [], before, 3):
        pages.append([each.key for each in page])
        before = pages[-1][-1]
    keys = [key for page in pages for key in page]
    assert sorted(keys) == sorted(office.key(number) for number in range(7))
    assert all(newer.id > older.id for newer, older in pairwise(keys))
    assert [len(page) for page in pages] == [3, 3, 1]


async def test_payments_are_listed_by_state(office: Office) -> None:
    first, second, _ = await office.accept("a", "b", "c")
    await office.move(first, state=State.RELEASED, next_at=None)
    await office.move(second, **CAPTURING)
    wanted = [[State.CHARGED], [State.CHARGED, State.RELEASED], [State.SETTLED]]
    tenant = office.bench.tenant
    found = [await office.reader.payments(tenant, states, None, 9) for states in wanted]
    assert [{each.key for each in page} for page in found] == [
        {office.key("b")},
        {office.key("a"), office.key("b")},
        set(),
    ]


async def test_operators_see_payments_of_all_tenants(office: Office) -> None:
    await office.accept("p")
    newest = await office.reader.payments(None, [], None, 10_000)
    assert office.key() in [each.key for each in newest]
    rest = await office.reader.payments(None, [], office.key(), 10_000)
    assert [(each.key.id, each.key.tenant) < (office.key().id, office.key().tenant) for each in rest] == [
        True
    ] * len(rest)


async def test_timeline_is_read_page_by_page(office: Office) -> None:
    [payment] = await office.accept("p")
    for number in range(1, 5):
        moved = await office.move(payment, attempts=number)
        assert moved is not None
        payment = moved
    assert [each.number for each in await office.reader.timeline(office.key(), 1, 2)] == [2, 3]
    assert await office.reader.timeline(office.key("none"), 0, 9) == []


async def test_what_is_not_there_is_not_found(office: Office) -> None:
    assert await office.reader.payment(office.key("none")) is None
    assert await office.providers.find(office.bench.tenant, "none") is None


async def test_tenants_see_only_what_is_theirs(
    postgres_office: Office, tenant_pool: TenantPool, pool: Pool
) -> None:
    await postgres_office.accept("p")
    key = postgres_office.key()
    own = await pool.fetchval("select tenant_id from tenants where code = $1", key.tenant)
    readers = [PostgresPaymentReader.of_tenant(tenant_pool, each) for each in (own, own + 1)]
    assert [(await each.payment(key)) is not None for each in readers] == [True, False]
    assert [len(await each.timeline(key, 0, 9)) for each in readers] == [1, 0]
    seen = [[each.key for each in await reader.payments(None, [], None, 9)] for reader in readers]
    assert (seen[0], key in seen[1]) == ([key], False)


# Providers


async def test_settings_of_providers_are_kept(office: Office) -> None:
    settings = {"url": "https://pay.example", "limits": {"calls": 4, "rate": 0.5}}
    await office.providers.put(office.bench.tenant, "bank", {"url": "old"})
    await office.providers.put(office.bench.tenant, "bank", settings)
    assert await office.providers.find(office.bench.tenant, "bank") == settings
    assert (office.bench.tenant, "bank", settings) in await office.providers.all()
