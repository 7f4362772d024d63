"""Payments: listed by state; what happened to one, with each attempt and the next; and what operators decide."""

import re
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ledger.api.access import services_of
from ledger.api.console.pages import console_router, page, path_of
from ledger.api.console.visitors import (
    FormError,
    NotThereError,
    Visitor,
    console_of,
    form_of,
    need,
    one,
    visitor_of,
)
from ledger.api.parameters import ID_PATTERN
from ledger.api.problems import NotAvailableError
from ledger.application.decide_payments import NoPaymentError, NotForOperatorsError
from ledger.application.payment_ports import NumberedLine, Payment, PaymentKey, PaymentReader
from ledger.application.payment_story import goes_on_at
from ledger.application.payment_story import why as story
from ledger.application.provider_reading import BreakerTold, fresh_since, shut
from ledger.domain.payments.happenings import Decision
from ledger.domain.payments.saga import State

PAYMENTS_A_PAGE = 50
LINES_A_PAGE = 200
WHY_CHARACTERS_MAX = 300
UNDER_WAY = "under_way"

Tenant = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
PaymentId = Annotated[str, Path(pattern=ID_PATTERN)]

_BEFORE = re.compile(r"([A-Za-z0-9_.:-]{1,128})/([0-9a-f-]{36})")
LEVELS = {
    State.NEEDS_OPERATOR: "bad",
    State.SETTLED: "good",
    State.DECLINED: "warning",
    State.RELEASED: "warning",
    State.EXPIRED: "warning",
    State.REFUNDED: "warning",
}


class Told(NamedTuple):
    """A payment, and why it is where it is."""

    payment: Payment
    why: str


def payments_router() -> APIRouter:
    """Make the routes."""
    router = console_router()
    router.get("/payments")(listed)
    router.get("/payments/{tenant}/{payment}")(show)
    router.post("/payments/{tenant}/{payment}")(decide)
    return router


async def listed(request: Request) -> Response:
    """List payments in a state, the newest first: those of the tenant, to operators those of all."""
    visitor = await visitor_of(request)
    state = request.query_params.get("state", "")
    states, before = _states(state), _before(request.query_params.get("before", ""))
    tenant = None if visitor.is_operator else visitor.caller.tenant
    found = await _reader(request, visitor).payments(tenant, states, before, PAYMENTS_A_PAGE + 1)
    shown = found[:PAYMENTS_A_PAGE]
    breakers = await breakers_for(request, visitor)
    following = "/".join(shown[-1].key) if len(found) > PAYMENTS_A_PAGE else None
    return page(
        request,
        "payments.html",
        visitor,
        state=state,
        states=[UNDER_WAY, *State],
        levels=LEVELS,
        found=[_told(each, breakers) for each in shown],
        following=following,
    )


def _states(state: str) -> Sequence[State]:
    if not state:
        return []
    if state == UNDER_WAY:
        return [each for each in State if not each.is_end]
    if state not in set(State):
        raise NotThereError(f"There is no state {state}.")
    return [State(state)]


def _before(text: str) -> PaymentKey | None:
    found = _BEFORE.fullmatch(text)
    if text and found is None:
        raise NotThereError("There is no such page.")
    return None if found is None else PaymentKey(found[1], found[2])


async def show(request: Request, tenant: Tenant, payment: PaymentId) -> Response:
    """Show a payment with its timeline."""
    visitor = await visitor_of(request)
    return await _shown(request, visitor, PaymentKey(tenant, payment.lower()))


async def _shown(
    request: Request, visitor: Visitor, key: PaymentKey, fault: str | None = None, status: int = 200
) -> Response:
    reader = _reader(request, visitor, key.tenant)
    after = request.query_params.get("after", "0")
    number = int(after) if after.isdecimal() and len(after) < 10 else 0
    # Before the payment, which then is no older: else a line could tell of an event that it does not know yet.
    lines = await reader.timeline(key, number, LINES_A_PAGE + 1)
    found = await reader.payment(key)
    if found is None:
        raise NotThereError(f"{key.tenant} has no payment {key.id}.")
    shut_since = shut(await breakers_for(request, visitor), key.tenant, found.terms.provider)
    return page(
        request,
        "payment.html",
        visitor,
        status=status,
        payment=found,
        why=story(found.saga, shut_since),
        goes_on_at=goes_on_at(found.saga, shut_since),
        levels=LEVELS,
        lines=_readable(lines[:LINES_A_PAGE], found),
        following=lines[LINES_A_PAGE - 1].number if len(lines) > LINES_A_PAGE else None,
        fault=fault,
        is_stuck=found.saga.state is State.NEEDS_OPERATOR,
        may_decide=_may_decide(request, visitor, found),
    )


def _readable(lines: Sequence[NumberedLine], payment: Payment) -> list[tuple[NumberedLine, str | None]]:
    """Give lines with their events. Of the one that is awaited the id is not told: whoever knows it could use it up."""
    awaited = payment.saga.event_id
    return [(each, None if each.line.event_id == awaited else each.line.event_id) for each in lines]


def _may_decide(request: Request, visitor: Visitor, payment: Payment) -> bool:
    is_stuck = payment.saga.state is State.NEEDS_OPERATOR
    return is_stuck and visitor.is_admin and console_of(request).desk is not None


async def decide(request: Request, tenant: Tenant, payment: PaymentId) -> Response:
    """Write down what an operator has decided; workers carry out what follows from it."""
    visitor = await visitor_of(request)
    form = await form_of(request, visitor.session)
    need(visitor, "admin")
    key = PaymentKey(tenant, payment.lower())
    _check_is_theirs(visitor, key.tenant)
    desk = console_of(request).desk
    if desk is None:
        raise NotAvailableError("Nothing can be decided here.")
    decision, reason = one(form, "decision"), one(form, "why", characters_max=WHY_CHARACTERS_MAX)
    if decision not in set(Decision) or not reason:
        raise FormError("Say what you decide, and why.")
    reference = one(form, "reference") or None
    try:
        await desk.decide(key, Decision(decision), by=name_of(visitor), why=reason, reference=reference)
    except NoPaymentError as error:
        raise NotThereError(str(error)) from error
    except NotForOperatorsError as error:
        return await _shown(request, visitor, key, str(error), 409)
    except ValueError:
        return await _shown(request, visitor, key, "A charge has a reference at its provider: give it.", 422)
    return RedirectResponse(path_of("payments", *key), 303)


def name_of(visitor: Visitor) -> str:
    """Name who decides, for whoever reads it later."""
    return f"{visitor.caller.tenant}, key {visitor.caller.key_id}"


def _check_is_theirs(visitor: Visitor, tenant: str) -> None:
    if not visitor.is_operator and tenant != visitor.caller.tenant:
        raise NotThereError(f"{visitor.caller.tenant} has no such payment.")


def _reader(request: Request, visitor: Visitor, tenant: str | None = None) -> PaymentReader:
    """Give what reads the payments that the visitor may see: the tenant's, behind its own rights, or all."""
    console, services = console_of(request), services_of(request)
    if visitor.is_operator and console.payments is not None:
        return console.payments
    if tenant is not None:
        _check_is_theirs(visitor, tenant)
    if services.payments is None:
        raise NotAvailableError("Payments are not set up here.")
    return services.payments(visitor.caller.tenant_id)


async def breakers_for(request: Request, visitor: Visitor) -> Sequence[BreakerTold]:
    """Read how the breakers of providers stand: of the tenant's, for operators of all."""
    console, services = console_of(request), services_of(request)
    if visitor.is_operator and console.desk is not None:
        return await console.desk.breakers()
    if services.providers is None:
        return []
    since = fresh_since(services.clock.now())
    return await services.providers(visitor.caller.tenant_id).breakers(since)


def _told(payment: Payment, breakers: Sequence[BreakerTold]) -> Told:
    return Told(payment, story(payment.saga, shut(breakers, payment.saga.tenant, payment.terms.provider)))
