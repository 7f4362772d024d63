"""Payments over HTTP: where each is, why, and what happened to it."""

from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from ledger.adapters.memory.payments import MemoryPayments
from ledger.api.app import create_app
from ledger.api.models import PaymentAnswer, PaymentsPage
from ledger.application.payment_calls import Heard
from ledger.application.payment_ports import PaymentKey
from ledger.application.payment_story import why
from ledger.application.saga_mover import Outside, SagaMover
from ledger.domain.payments.commands import Charge, QueryCharge
from ledger.domain.payments.happenings import WokeUp
from ledger.domain.payments.rules import PaymentRules
from ledger.domain.payments.saga import Saga, State, Step
from tests.api.world import World, client_of
from tests.builders import NOW, USD, event, event_id, transfer


async def requested(*names: str) -> tuple[World, MemoryPayments]:
    """A world in which payments were requested."""
    world = World()
    payments = MemoryPayments(world.books)
    await payments.put("acme", "bank", {})
    await world.office.post(transfer("external:bank", "ann", 1000))
    for name in names:
        data = {"debit": "ann", "credit": "shop", "amount": 70, "asset": USD, "provider": "bank"}
        fee = {"account": "fees", "amount": 3}
        await world.office.post(event("payment.request.v1", {**data, "fee": fee}, name=name))
    return world, payments


async def asked(world: World, path: str, **parameters: Any) -> httpx.Response:
    async with client_of(create_app(world.services()), await world.key("read")) as client:
        return await client.get(path, params=parameters)


async def test_a_payment_tells_where_it_is_and_why() -> None:
    world, payments = await requested("p")
    outside = Outside(world.clock, lambda: 0.5, lambda payment_id: event_id("fresh"))
    mover = SagaMover(payments, outside, PaymentRules(), world.signals)
    (payment,) = await payments.load([PaymentKey("acme", event_id("p"))])
    await mover.move(payment, Heard(WokeUp()))
    found = await asked(world, f"/v1/payments/{event_id('p')}")
    assert found.status_code == 200, found.text
    told = PaymentAnswer.model_validate_json(found.content)
    assert (told.state, told.why) == ("charging", "The provider is asked for the charge, for the 1st time.")
    assert told.fee is not None
    assert told.fee.amount == 3
    assert [(line.happening, line.commands, line.attempt) for line in told.timeline] == [
        ("requested", [], None),
        ("woke_up", ["charge"], 1),
    ]
    assert told.next_at == told.timeline[-1].next_at is not None


async def test_another_tenant_does_not_see_it() -> None:
    world, _ = await requested("p")
    async with client_of(create_app(world.services()), await world.key("read", tenant="rival")) as client:
        found = await client.get(f"/v1/payments/{event_id('p')}")
        page = await client.get("/v1/payments")
    assert (found.status_code, found.json()["code"]) == (404, "payment_not_found")
    assert page.json()["items"] == []


async def test_payments_come_in_pages_the_newest_first() -> None:
    world, _ = await requested("a", "b", "c")
    ids, cursor = [], None
    while True:
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        found = await asked(world, "/v1/payments", **parameters)
        page = PaymentsPage.model_validate_json(found.content)
        ids += [item.id for item in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert ids == sorted((event_id(name) for name in "abc"), reverse=True)


async def test_payments_are_listed_by_state() -> None:
    world, _ = await requested("a")
    held = await asked(world, "/v1/payments", state="funds_held")
    settled = await asked(world, "/v1/payments", state="settled")
    assert [len(each.json()["items"]) for each in (held, settled)] == [1, 0]
    assert (await asked(world, "/v1/payments", state="lost")).status_code == 422


SAGA = Saga(id="p", tenant="acme", deadline=NOW, state=State.CHARGING, step=Step.CHARGE, tries=2)


@pytest.mark.parametrize(
    ("saga", "told"),
    [
        (SAGA, "The provider did nothing (no answer): the charge will be tried again."),
        (
            replace(SAGA, last_answer="retry_later"),
            "The provider did nothing (retry later): the charge will be tried again.",
        ),
        (
            replace(SAGA, unknown_since=NOW),
            "It is not known what became of its charge: the provider will be asked.",
        ),
        (
            replace(SAGA, awaiting=QueryCharge("k", 3), queries=1, unknown_since=NOW),
            "The provider is asked what became of its charge.",
        ),
        (
            replace(SAGA, awaiting=Charge("k", 2)),
            "The provider is asked for the charge, for the 2nd time.",
        ),
        (
            replace(SAGA, state=State.RELEASING, step=Step.RELEASE, reason="poor"),
            "The books have not posted its void yet. It does not settle: poor.",
        ),
        (
            replace(SAGA, state=State.NEEDS_OPERATOR, stuck="charge unknown for too long"),
            "It needs an operator: charge unknown for too long.",
        ),
        (replace(SAGA, state=State.SETTLED, step=None), "It is settled."),
        (
            replace(SAGA, state=State.EXPIRED, step=None, reason="deadline passed"),
            "It is at its end. It does not settle: deadline passed.",
        ),
    ],
)
def test_the_story_of_a_payment(saga: Saga, told: str) -> None:
    assert why(saga) == told
