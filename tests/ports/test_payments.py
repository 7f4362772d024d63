"""One suite for every kind of books: payments that are accepted, and what the books say of them."""

from datetime import timedelta

import pytest

from ledger.application.payment_ports import (
    BooksSay,
    EventKey,
)
from ledger.domain.outcome import Outcome, PaymentView
from ledger.domain.payments.saga import HoldFact, State
from tests.builders import NOW, event, event_id, transfer
from tests.ports.payments import CAPTURING, RELEASING, Office

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


@pytest.mark.parametrize("verb", ["capture", "void"])
async def test_what_the_saga_stored_is_never_too_old(office: Office, verb: str) -> None:
    old = NOW - timedelta(days=90) + timedelta(seconds=60)
    await office.accept("funds")
    payment = await office.accept_at(old)
    await office.move(payment, **OLD[verb] | {"event_id": event_id("closes", old)})
    office.bench.clock.move(timedelta(days=200).total_seconds())
    stranger = office.closing(verb, "stranger", under=event_id("stranger", old), hold=payment.saga.id)
    closes = office.closing(verb, "closes", under=event_id("closes", old), hold=payment.saga.id)
    assert await office.bench.answers(stranger, closes) == ["event_too_old", "posted"]
    await office.bench.answers(closes)
    held = await office.bench.balance("ann")
    assert held == f"{930 if verb == 'capture' else 1000} held 70 version {2 if verb == 'capture' else 1}"


OLD = {"capture": CAPTURING, "void": RELEASING}


# What the books say


async def test_books_say_nothing_before_there_is_an_outcome(office: Office) -> None:
    [payment] = await office.accept("p")
    await office.move(payment, **CAPTURING)
    assert await office.store.answered([office.key(), office.key("none")]) == []


async def test_books_say_what_became_of_the_event(office: Office) -> None:
    for payment, facts in zip(await office.accept("p", "q"), (CAPTURING, RELEASING), strict=True):
        await office.move(payment, **facts)
    await office.bench.post(office.closing("capture", "capture"), office.closing("void", "void", "q"))
    answered = await office.store.answered([office.key(), office.key("q")])
    assert {each.payment.key: each.said for each in answered} == {
        office.key(): BooksSay(event_id("capture"), True, None, HoldFact.CAPTURED),
        office.key("q"): BooksSay(event_id("void"), True, None, HoldFact.RELEASED),
    }
    assert answered[0].payment in [await office.read("p"), await office.read("q")]


async def test_books_say_why_it_was_refused(office: Office) -> None:
    [payment] = await office.accept("p")
    await office.move(payment, **CAPTURING)
    close = event("account.open.v1", {"account": "shop"}, name="o", tenant=office.bench.tenant)
    shut = event("account.close.v1", {"account": "shop"}, name="s", tenant=office.bench.tenant)
    await office.bench.post(close, shut, office.closing("capture", "capture"))
    [(_, said)] = await office.store.answered([office.key()])
    assert said == BooksSay(event_id("capture"), False, "account_closed", HoldFact.OPEN)


async def test_payment_is_found_by_the_event_that_it_waits_for(office: Office) -> None:
    [payment] = await office.accept("p")
    await office.move(payment, **CAPTURING)
    tenant, capture = office.bench.tenant, event_id("capture")
    assert await office.store.answered([], [EventKey(tenant, capture)]) == []
    await office.bench.post(office.closing("capture", "capture"), office.closing("void", "stranger"))
    others = [EventKey("nobody", capture), EventKey(tenant, event_id("stranger"))]
    assert await office.store.answered([], others) == []
    [found] = await office.store.answered([office.key()], [*others, EventKey(tenant, capture)])
    assert found.payment.key == office.key()
    assert await office.store.answered([], [EventKey(tenant, capture)]) == [found]


async def test_id_taken_up_by_another_event_is_refused(office: Office) -> None:
    [payment] = await office.accept("p")
    await office.move(payment, **CAPTURING)
    await office.bench.post(transfer("ann", "bob", 1, name="capture", tenant=office.bench.tenant))
    [(_, said)] = await office.store.answered([office.key()])
    assert said == BooksSay(event_id("capture"), False, "event_id_reused", HoldFact.OPEN)


async def test_outcome_of_any_event(office: Office) -> None:
    await office.accept("p")
    await office.bench.post(office.closing("void", "stranger"))
    tenant = office.bench.tenant
    keys = [EventKey(tenant, event_id(name)) for name in ("p", "stranger", "none")]
    outcomes = await office.store.outcomes([*keys, EventKey("nobody", event_id("p"))])
    found = [outcomes.get(key) for key in keys]
    assert [each and (each.posted, each.reason) for each in found] == [
        (True, None),
        (False, "hold_not_found"),
        None,
    ]
