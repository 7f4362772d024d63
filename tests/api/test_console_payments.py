"""Payments in the console: found by state, told with all that happened, decided by those who may."""

from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from ledger.adapters.memory.payments import MemoryPayments
from ledger.application.payment_ports import Change, Line, Payment, PaymentKey
from ledger.domain.payments.saga import ChargeFact, HoldFact, Saga, State, Step
from ledger.domain.payments.steps import Verdict
from tests.api.console_world import ConsoleWorld, token_in, visiting
from tests.builders import NOW, USD, event, event_id, transfer

HOSTILE = "<script>alert(1)</script>"
PATH = f"payments/acme/{event_id('p')}"


async def requested(*names: str) -> ConsoleWorld:
    """A world in which payments were requested."""
    world = ConsoleWorld()
    await MemoryPayments(world.books).put("acme", "bank", {})
    await world.office.post(transfer("external:bank", "ann", 1000))
    for name in names:
        data = {"debit": "ann", "credit": "shop", "amount": 70, "asset": USD, "provider": "bank"}
        await world.office.post(event("payment.request.v1", {**data, "reference": HOSTILE}, name=name))
    return world


async def moved(world: ConsoleWorld, name: str, **changes: Any) -> Payment:
    """Store a payment as if it had come so far."""
    payments = MemoryPayments(world.books)
    (before,) = await payments.load([PaymentKey("acme", event_id(name))])
    saga: Saga = replace(before.saga, **changes)
    line = Line(
        at=NOW, happening="unknown", verdict=Verdict.MOVED, state=saga.state, detail=HOSTILE, attempt=1
    )
    (stored,) = await payments.apply([Change(before, saga, line)])
    assert stored is not None
    return stored


async def stuck(world: ConsoleWorld, name: str = "p") -> None:
    await moved(
        world,
        name,
        state=State.NEEDS_OPERATOR,
        step=Step.CHARGE,
        hold=HoldFact.OPEN,
        charge=ChargeFact.NONE,
        stuck="the provider never answered",
        attempts=3,
    )


async def asked(
    world: ConsoleWorld, path: str, scope: Any = "read", tenant: str = "acme", **given: Any
) -> httpx.Response:
    async with visiting(world, scope, tenant, **given) as client:
        return await client.get(f"/console/{path}")


async def decided(world: ConsoleWorld, path: str = PATH, scope: Any = "admin", **form: str) -> httpx.Response:
    async with visiting(world, scope) as client:
        token = token_in((await client.get("/console")).text)
        return await client.post(f"/console/{path}", data={"token": token, **form})


async def test_payments_are_listed_by_state() -> None:
    world = await requested("p", "q")
    await stuck(world)
    every, waiting = await asked(world, "payments"), await asked(world, "payments?state=needs_operator")
    assert (every.text.count("<tr>"), waiting.text.count("<tr>")) == (3, 2)
    assert "the provider never answered" in waiting.text
    assert "No payment is settled." in (await asked(world, "payments?state=settled")).text
    assert (await asked(world, "payments?state=under_way")).text.count("<tr>") == 3
    assert (await asked(world, "payments?state=lost")).status_code == 404


@pytest.mark.parametrize("state", State)
async def test_a_payment_is_shown_whatever_its_state(state: State) -> None:
    world = await requested("p")
    await moved(world, "p", state=state, step=None if state.is_end else Step.CHARGE)
    for page in (await asked(world, PATH, "admin"), await asked(world, f"payments?state={state}")):
        assert page.status_code == 200
        assert state.value.replace("_", " ") in page.text


async def test_the_id_of_a_payment_of_another_tenant_leads_operators_to_it() -> None:
    world = await requested("p")
    path = f"events/{event_id('p')}"
    operators = world.console(operators=frozenset({"rival"}))
    found = await asked(world, path, "admin", "rival", console=operators)
    assert (found.status_code, found.headers["location"]) == (303, f"/console/{PATH}")
    assert (
        await asked(world, f"events/{event_id('q')}", "admin", "rival", console=operators)
    ).status_code == 404
    assert (await asked(world, path, "admin", "rival")).status_code == 404


async def test_an_id_that_two_tenants_have_used_leads_to_neither_by_itself() -> None:
    world = await requested("p")
    kept = world.books.contents
    (payment,) = kept.payments.values()
    kept.payments |= {("second", event_id("p")): payment}
    operators = world.console(operators=frozenset({"rival"}))
    found = await asked(world, f"events/{event_id('p')}", "admin", "rival", console=operators)
    assert found.status_code == 404
    assert all(f"/console/payments/{tenant}/{event_id('p')}" in found.text for tenant in ("acme", "second"))


async def test_a_payment_tells_all_that_happened_and_nothing_of_it_is_a_tag() -> None:
    world = await requested("p")
    await stuck(world)
    text = (await asked(world, PATH)).text
    assert "needs an operator: the provider never answered" in text
    assert "Calls to the provider</dt><dd>3" in text
    assert HOSTILE not in text
    assert text.count("&lt;script&gt;") == 2


async def test_what_is_awaited_is_not_told() -> None:
    world = await requested("p")
    await moved(world, "p", state=State.CHARGED, step=Step.CAPTURE, event_id=event_id("secret"))
    assert event_id("secret") not in (await asked(world, PATH, "admin")).text


async def test_only_admins_are_shown_how_to_decide() -> None:
    world = await requested("p")
    await stuck(world)
    assert "Write it down" not in (await asked(world, PATH)).text
    assert "Write it down" in (await asked(world, PATH, "admin")).text


async def test_a_decision_is_a_line_with_who_and_why() -> None:
    world = await requested("p")
    await stuck(world)
    answer = await decided(world, decision="retry", why="the bank is back")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/{PATH}")
    text = (await asked(world, PATH)).text
    assert "told retry" in text
    assert "acme, key " in text
    assert "the bank is back" in text


@pytest.mark.parametrize(
    ("form", "status", "says"),
    [
        ({"decision": "retry", "why": " "}, 422, "Say what you decide"),
        ({"decision": "steal", "why": "x"}, 422, "Say what you decide"),
        ({"decision": "charged", "why": "x"}, 422, "A charge has a reference"),
        ({"decision": "retry", "why": "x" * 301}, 422, "more than 300"),
    ],
)
async def test_a_decision_that_makes_no_sense_is_refused(
    form: dict[str, str], status: int, says: str
) -> None:
    world = await requested("p")
    await stuck(world)
    answer = await decided(world, **form)
    assert (answer.status_code, says in answer.text) == (status, True)


async def test_a_payment_that_needs_nobody_is_not_decided() -> None:
    world = await requested("p")
    answer = await decided(world, decision="retry", why="x")
    assert (answer.status_code, "does not need an operator" in answer.text) == (409, True)


async def test_a_reader_decides_nothing() -> None:
    world = await requested("p")
    await stuck(world)
    answer = await decided(world, scope="read", decision="retry", why="x")
    assert answer.status_code == 403


async def test_another_tenant_sees_and_decides_nothing() -> None:
    world = await requested("p")
    await stuck(world)
    assert (await asked(world, PATH, "admin", "rival")).status_code == 404
    assert "No payment was requested yet" in (await asked(world, "payments", "admin", "rival")).text
    async with visiting(world, "admin", "rival") as client:
        token = token_in((await client.get("/console")).text)
        form = {"token": token, "decision": "retry", "why": "x"}
        assert (await client.post(f"/console/{PATH}", data=form)).status_code == 404


async def test_the_overview_leads_to_the_one_payment_that_is_stuck() -> None:
    world = await requested("p", "q")
    await stuck(world)
    text = (await asked(world, "pipeline")).text
    assert f'href="/console/{PATH}"' in text


async def test_operators_of_two_tenants_share_no_look_where_each_sees_the_own_payments_alone() -> None:
    world = await requested("p", "q")
    await stuck(world)
    console = world.console(desk=None, board=None, operators=frozenset({"acme", "rival"}))
    shown = [
        f'href="/console/{PATH}"' in (await asked(world, "pipeline", "admin", tenant, console=console)).text
        for tenant in ("acme", "rival")
    ]
    assert shown == [True, False]


async def test_payments_that_are_not_set_up_are_said() -> None:
    answer = await asked(ConsoleWorld(), "payments", payments=None)
    assert (answer.status_code, "Payments are not set up here" in answer.text) == (503, True)
