"""Payments over HTTP: where each is, why, and what happened to it."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from ledger.adapters.memory.payments import MemoryPayments
from ledger.adapters.memory.provider_board import MemoryProviderBoard
from ledger.api.app import create_app
from ledger.api.models import PaymentAnswer, PaymentsPage, ProvidersAnswer
from ledger.api.quotas import RefusedSenders
from ledger.api.routes.payments import timeline_members
from ledger.application.breaker import BreakerState
from ledger.application.faults import LogAwayError
from ledger.application.payment_calls import Heard
from ledger.application.payment_ports import Line, NumberedLine, PaymentKey, SealError
from ledger.application.payment_story import decided_events, why
from ledger.application.provider_reading import BreakerTold, shut
from ledger.application.providers import Accepted
from ledger.application.receive_webhooks import ReceivedWebhook, ReceiveWebhooks
from ledger.application.saga_mover import Outside, SagaMover
from ledger.contract.signature import sign
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
    ("lines", "shown"),
    [
        ([line("charge_accepted", "c", "capture")], set()),
        ([line("charge_accepted", "c", "capture"), line("capture_posted", "c")], {"c"}),
        ([line("charge_accepted", "c", "capture"), line("capture_refused", "v", "release")], {"c"}),
        (
            [
                line("charge_declined", "v1", "release"),
                line("release_refused", "v1"),
                line("told_retry", "v2", "release"),
            ],
            {"v1"},
        ),
    ],
)
def test_the_id_of_a_capture_or_void_is_shown_once_it_has_its_outcome(
    lines: list[Line], shown: set[str]
) -> None:
    assert decided_events(lines) == shown
    told = timeline_members([NumberedLine(number, each) for number, each in enumerate(lines, 1)])
    assert {each["event"] for each in told} - {None} == shown


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
    ("after_s", "tells"), [(1, f"{SHUT}, so this payment goes on later than at next_at."), (9, f"{SHUT}.")]
)
def test_the_story_tells_of_an_open_breaker(after_s: int, tells: str) -> None:
    assert why(replace(SAGA, next_at=NOW + timedelta(seconds=after_s)), told_of()) == tells


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


# Webhooks

SECRET = b"a secret of the tests"
WEBHOOK = {
    "id": "wh_1",
    "key": f"acme:{event_id('p')}:charge",
    "payment": event_id("p"),
    "tenant": "acme",
    "kind": "charge",
    "state": "accepted",
    "reference": "ch_1",
}


class Shared:
    """Secrets of one provider, and a log that remembers or is away."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, bytes]] = []
        self.asked: list[str] = []
        self.away = False

    async def secrets(self, tenant: str, provider: str) -> Sequence[bytes]:
        self.asked.append(tenant)
        return [SECRET] if (tenant, provider) == ("acme", "bank") else []

    async def keep(self, key: bytes, value: bytes) -> None:
        if self.away:
            raise LogAwayError("as told")
        self.kept.append((key, value))


async def told(
    shared: Shared,
    body: Any = WEBHOOK,
    *,
    provider: str = "bank",
    secret: bytes = SECRET,
    late_s: int = 0,
    world: World | None = None,
    senders: RefusedSenders | None = None,
) -> httpx.Response:
    world = world or World()
    content = json.dumps(body).encode()
    headers = sign(secret, "webhook", content, now_s=int(world.clock.now().timestamp()) - late_s)
    receive = ReceiveWebhooks(shared, shared, world.clock, world.signals)
    services = world.services(webhooks=receive, senders=senders)
    async with client_of(create_app(services)) as client:
        return await client.post(f"/v1/providers/{provider}/webhooks", content=content, headers=headers)


async def test_a_webhook_that_is_signed_is_kept() -> None:
    shared = Shared()
    assert (await told(shared)).json() == {"id": "wh_1"}
    ((key, value),) = shared.kept
    received = msgspec.json.decode(value, type=ReceivedWebhook)
    assert key == f"acme/{event_id('p')}".encode()
    assert (received.provider, received.webhook.answer) == ("bank", Accepted("ch_1"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": b"another secret that is long"},
        {"provider": "other"},
        {"body": {**WEBHOOK, "tenant": "rival"}},
        {"body": {**WEBHOOK, "tenant": "x" * 64}},
        {"body": ["nothing"]},
        {"late_s": 301},
    ],
    ids=str,
)
async def test_a_webhook_that_is_not_signed_by_its_provider_is_refused(wrong: dict[str, Any]) -> None:
    shared = Shared()
    refused = await told(shared, **wrong)
    assert (refused.status_code, refused.json()["code"]) == (401, "signature_refused")
    assert shared.kept == []


async def test_a_webhook_that_is_none_is_told_so() -> None:
    shared = Shared()
    refused = await told(shared, {**WEBHOOK, "state": "perhaps"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert shared.kept == []


async def test_a_webhook_that_cannot_be_kept_is_told_again() -> None:
    shared = Shared()
    shared.away = True
    away = await told(shared)
    assert (away.status_code, away.headers["Retry-After"]) == (503, "2")


async def test_a_webhook_for_which_no_secret_can_be_read_is_refused_and_an_operator_told() -> None:
    shared, world = Shared(), World()

    async def sealed(tenant: str, provider: str) -> Sequence[bytes]:
        raise SealError("as told")

    shared.secrets = sealed  # type: ignore[method-assign]
    refused = await told(shared, world=world)
    assert (refused.status_code, refused.json()["code"]) == (401, "signature_refused")
    assert "provider.misconfigured" in [name for name, _ in world.signals.emitted]


async def test_a_stranger_without_a_signature_costs_no_look_into_the_books() -> None:
    shared, world = Shared(), World()
    services = world.services(webhooks=ReceiveWebhooks(shared, shared, world.clock, world.signals))
    async with client_of(create_app(services)) as client:
        for headers in ({}, {"Ledger-Timestamp": "1", "Ledger-Signature": "v1=00"}):
            refused = await client.post("/v1/providers/bank/webhooks", json=WEBHOOK, headers=headers)
            assert refused.status_code == 401
    assert shared.asked == []


async def test_a_tenant_that_is_unknown_is_refused_in_the_same_words() -> None:
    answers = [
        (await told(Shared(), {**WEBHOOK, "tenant": tenant}, secret=b"another secret that is long")).json()
        for tenant in ("acme", "nobody")
    ]
    assert answers[0] == answers[1]


async def test_nobody_is_believed_by_the_key_that_is_checked_for_nobody() -> None:
    refused = await told(Shared(), {**WEBHOOK, "tenant": "nobody"}, secret=b"0" * 16)
    assert refused.status_code == 401


async def test_a_body_that_no_webhook_has_is_not_read() -> None:
    refused = await told(Shared(), {**WEBHOOK, "more": "x" * 70_000})
    assert (refused.status_code, refused.headers["Connection"]) == (413, "close")


async def test_a_sender_who_is_refused_again_and_again_is_not_looked_at_for_a_while() -> None:
    shared, world = Shared(), World()
    senders = RefusedSenders(2, world.signals, lambda: world.monotonic)
    for _ in range(4):
        assert (await told(shared, secret=b"another secret that is long", senders=senders)).status_code == 401
    asked = len(shared.asked)
    refused = await told(shared, senders=senders)
    assert (refused.status_code, refused.headers["Retry-After"], len(shared.asked)) == (429, "1", asked)
    world.monotonic += 1
    assert (await told(shared, senders=senders)).status_code == 200
