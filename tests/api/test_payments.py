"""Payments over HTTP: where each is, why, and what happened to it."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from ledger.adapters.memory.payments import MemoryPayments
from ledger.adapters.memory.provider_board import MemoryProviderBoard
from ledger.api.app import create_app
from ledger.api.models import PaymentAnswer, PaymentsPage, ProvidersAnswer
from ledger.api.routes import payments as routes
from ledger.api.routes.payments import timeline_members
from ledger.application.breaker import BreakerState
from ledger.application.payment_calls import Heard
from ledger.application.payment_ports import Change, Line, NumberedLine, Payment, PaymentKey
from ledger.application.payment_story import goes_on_at, why
from ledger.application.provider_reading import BreakerTold, shut
from ledger.application.saga_mover import Outside, SagaMover
from ledger.domain.payments.commands import Charge, QueryCharge
from ledger.domain.payments.happenings import WokeUp
from ledger.domain.payments.rules import PaymentRules
from ledger.domain.payments.saga import Saga, State, Step
from ledger.domain.payments.steps import Verdict
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
        (
            replace(SAGA, tries=0, last_answer="retry_later"),
            "The provider did nothing (retry later): the charge will be tried again.",
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


def line(happening: str, event: str | None, *commands: str) -> Line:
    return Line(
        at=NOW,
        happening=happening,
        verdict=Verdict.MOVED,
        state=State.CHARGED,
        event_id=event,
        commands=commands,
    )


@pytest.mark.parametrize(
    ("awaited", "shown"), [("v2", ["v1", "v1", None, None]), (None, ["v1", "v1", "v2", "v2"])]
)
def test_the_id_of_a_capture_or_void_is_shown_once_it_has_its_outcome(
    awaited: str | None, shown: list[str | None]
) -> None:
    lines = [
        line("charge_declined", "v1", "release"),
        line("release_refused", "v1"),
        line("woke_up", "v2", "release"),
        line("told_retry", "v2", "release"),
    ]
    told = timeline_members([NumberedLine(number, each) for number, each in enumerate(lines, 1)], awaited)
    assert [each["event"] for each in told] == shown


async def stored(payments: MemoryPayments, before: Payment, saga: Saga, told: Line) -> Payment:
    (after,) = await payments.apply([Change(before, saga, told)])
    assert after is not None
    return after


async def test_what_a_payment_waits_for_is_not_shown_on_any_page() -> None:
    world, payments = await requested("p")
    (payment,) = await payments.load([PaymentKey("acme", event_id("p"))])
    saga = replace(payment.saga, event_id=event_id("capture"))
    for _ in range(2):
        payment = await stored(payments, payment, saga, line("woke_up", saga.event_id, "capture"))
    for after, numbers in ((0, [1, 2, 3]), (2, [3]), (3, [])):
        told = (await asked(world, f"/v1/payments/{event_id('p')}", after=after)).json()
        assert [(each["number"], each["event"]) for each in told["timeline"]] == [
            (number, None) for number in numbers
        ]


async def test_a_long_timeline_comes_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "LINES_MAX", 2)
    world, payments = await requested("p")
    (payment,) = await payments.load([PaymentKey("acme", event_id("p"))])
    for _ in range(4):
        payment = await stored(payments, payment, payment.saga, line("woke_up", None))
    pages: list[list[int]] = []
    after: int | None = 0
    while after is not None:
        told = (await asked(world, f"/v1/payments/{event_id('p')}", after=after)).json()
        pages.append([each["number"] for each in told["timeline"]])
        after = told["timeline_next"]
    assert pages == [[1, 2], [3, 4], [5]]
    refused = await asked(world, f"/v1/payments/{event_id('p')}", after=-1)
    assert refused.status_code == 422


# Providers and their breakers


def told_of(state: BreakerState = BreakerState.OPEN, **given: Any) -> BreakerTold:
    members: dict[str, Any] = {
        "tenant": "acme",
        "provider": "bank",
        "worker": "w1",
        "state": state,
        "since": NOW,
        "retry_at": NOW + timedelta(seconds=5) if state is BreakerState.OPEN else None,
        "calls": 12,
        "bad": 9,
        "told_at": NOW,
    }
    return BreakerTold(**members | given)


WAITS = "The provider did nothing (no answer): the charge will be tried again."
SHUT = (
    f"{WAITS} Its provider is not asked since 2026-11-21T10:00:00Z: 9 of 12 calls failed or were slow. "
    "It is tried again at 2026-11-21T10:00:05Z"
)


@pytest.mark.parametrize(
    ("after_s", "tells"), [(1, f"{SHUT}, and this payment does not go on before."), (9, f"{SHUT}.")]
)
def test_the_story_tells_of_an_open_breaker(after_s: int, tells: str) -> None:
    assert why(replace(SAGA, next_at=NOW + timedelta(seconds=after_s)), told_of()) == tells


def test_a_payment_goes_on_when_it_is_time_and_its_provider_is_tried_again() -> None:
    soon, late = NOW + timedelta(seconds=1), NOW + timedelta(seconds=9)
    retry_at = told_of().retry_at
    assert goes_on_at(replace(SAGA, next_at=soon), told_of()) == retry_at
    assert goes_on_at(replace(SAGA, next_at=late), told_of()) == late
    assert goes_on_at(replace(SAGA, next_at=soon)) == soon
    assert goes_on_at(replace(SAGA, next_at=soon, step=Step.RELEASE), told_of()) == soon
    assert goes_on_at(replace(SAGA, next_at=None), told_of()) is None


def test_the_story_tells_of_a_breaker_that_lets_one_call_try() -> None:
    told = why(replace(SAGA, next_at=NOW), told_of(BreakerState.HALF_OPEN))
    assert told.endswith("calls failed or were slow. It is tried again with the next call.")


@pytest.mark.parametrize(
    "saga",
    [
        replace(SAGA, awaiting=Charge("k", 2)),
        replace(SAGA, state=State.RELEASING, step=Step.RELEASE),
        replace(SAGA, state=State.SETTLED, step=None),
    ],
)
def test_the_story_tells_nothing_of_a_breaker_that_does_not_matter(saga: Saga) -> None:
    assert why(saga, told_of()) == why(saga)


def test_a_provider_is_shut_when_no_worker_asks_it() -> None:
    later = told_of(worker="w2", retry_at=NOW + timedelta(seconds=8))
    assert shut([told_of(), later], "acme", "bank") == later
    assert shut([told_of(), told_of(BreakerState.CLOSED, worker="w2")], "acme", "bank") is None
    on_trial = told_of(BreakerState.HALF_OPEN)
    assert shut([on_trial], "acme", "bank") == on_trial, "that it may be tried does not mend it"
    assert shut([told_of()], "acme", "other") is shut([told_of()], "rival", "bank") is None


async def test_providers_are_listed_with_their_breakers_and_no_secrets() -> None:
    world, payments = await requested("p")
    url = "https://user:pass@pay.example:8443/path?token=1"
    await payments.put("acme", "bank", {"url": url, "secrets": ["hidden"], "when_down": "decline"})
    await payments.put("rival", "theirs", {"url": url})
    board = MemoryProviderBoard(world.books, "acme")
    stale = told_of(worker="gone", told_at=world.clock.now() - timedelta(seconds=16))
    await board.tell("w1", [told_of(told_at=world.clock.now()), stale], NOW)
    async with client_of(
        create_app(world.services(providers=lambda tenant_id: board)), await world.key("read")
    ) as client:
        found = await client.get("/v1/providers")
        payment = await client.get(f"/v1/payments/{event_id('p')}")
    told = ProvidersAnswer.model_validate_json(found.content)
    (item,) = told.items
    assert (item.name, item.url, item.when_down) == ("bank", "https://pay.example:8443", "decline")
    assert [(each.worker, each.state, each.calls, each.bad) for each in item.breakers] == [
        ("w1", "open", 12, 9)
    ]
    assert "hidden" not in found.text
    assert "Its provider is not asked since" in payment.json()["why"]
