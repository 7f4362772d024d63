"""Payments: where each is, why, and all that happened to it."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Reader, services_of
from ledger.api.answers import answer
from ledger.api.documented import READING, link, responses
from ledger.api.models import PaymentAnswer, PaymentsPage
from ledger.api.pages import Cursors
from ledger.api.parameters import ID_PATTERN, PaymentInPath, PaymentsQuery, TimelineQuery
from ledger.api.problems import InvalidCursorError, NotAvailableError, PaymentNotFoundError
from ledger.application.access import Caller
from ledger.application.payment_ports import Line, NumberedLine, Payment, PaymentKey, PaymentReader
from ledger.application.payment_story import why
from ledger.application.provider_reading import BreakerTold, fresh_since, shut
from ledger.domain.payments.saga import State

router = APIRouter(prefix="/v1/payments", tags=["payments"])

LINES_MAX = 500


class _After(msgspec.Struct, array_like=True):
    id: Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]


_cursors = Cursors("payments", _After)

_LINKS = {
    "Hold": link("getHold", "The hold on its funds.", hold="id"),
    "Event": link("getEvent", "The event that requested it.", event="id"),
}
_PAGE_LINKS = {
    "Payment": link("getPayment", "The first of them.", payment="items/0/id"),
    "NextPage": link("listPayments", "The next page.", cursor="next_cursor"),
}


@router.get(
    "",
    operation_id="listPayments",
    summary="List payments",
    responses=responses(
        PaymentsPage,
        *READING,
        InvalidCursorError,
        NotAvailableError,
        says="A page of payments, the newest first.",
        links=_PAGE_LINKS,
    ),
)
async def list_payments(request: Request, caller: Reader, query: PaymentsQuery) -> Response:
    """List payments by their ids, the newest first; with `state` only those that are there now."""
    place = _cursors.read(query.cursor, query.state)
    before = None if place is None else PaymentKey(caller.tenant, place.id)
    states = [] if query.state is None else [State(query.state)]
    found = await _reader(request, caller).payments(caller.tenant, states, before, query.limit + 1)
    breakers = await _breakers(request, caller)
    more = len(found) > query.limit
    return answer(
        {
            "items": [payment_members(each, breakers) for each in found[: query.limit]],
            "next_cursor": _cursors.write(_After(found[query.limit - 1].saga.id), query.state)
            if more
            else None,
        }
    )


@router.get(
    "/{payment}",
    operation_id="getPayment",
    summary="Read a payment",
    responses=responses(
        PaymentAnswer,
        *READING,
        PaymentNotFoundError,
        NotAvailableError,
        says="The payment, with its timeline.",
        links=_LINKS,
    ),
)
async def get_payment(
    request: Request, payment: PaymentInPath, caller: Reader, query: TimelineQuery
) -> Response:
    """Read where a payment is, why, when it goes on by itself, and what happened to it: up to 500 lines at a time."""
    reader, key = _reader(request, caller), PaymentKey(caller.tenant, payment)
    # Before the payment, which then is no older: else a line could tell of an event that it does not know yet.
    lines = await reader.timeline(key, query.after, LINES_MAX + 1)
    found = await reader.payment(key)
    if found is None:
        raise PaymentNotFoundError(f"There is no payment {payment}.")
    breakers = await _breakers(request, caller)
    timeline = timeline_members(lines[:LINES_MAX], found.saga.event_id)
    following = lines[LINES_MAX - 1].number if len(lines) > LINES_MAX else None
    members = payment_members(found, breakers)
    return answer({**members, "timeline": timeline, "timeline_next": following})


def _reader(request: Request, caller: Caller) -> PaymentReader:
    payments = services_of(request).payments
    if payments is None:
        raise NotAvailableError("Payments are not set up here.")
    return payments(caller.tenant_id)


async def _breakers(request: Request, caller: Caller) -> Sequence[BreakerTold]:
    """Read how the breakers of the tenant's providers stand, as far as that is known."""
    services = services_of(request)
    if services.providers is None:
        return []
    return await services.providers(caller.tenant_id).breakers(fresh_since(services.clock.now()))


def payment_members(payment: Payment, breakers: Sequence[BreakerTold] = ()) -> dict[str, Any]:
    saga, terms = payment.saga, payment.terms
    fee = {"account": terms.fee_account, "amount": terms.fee_amount} if terms.fee_account else None
    return {
        "id": saga.id,
        "state": saga.state,
        "why": why(saga, shut(breakers, saga.tenant, terms.provider)),
        "next_at": saga.next_at,
        "debit": terms.debit,
        "credit": terms.credit,
        "amount": terms.amount,
        "asset": terms.asset,
        "fee": fee,
        "provider": terms.provider,
        "reference": terms.reference,
        "requested_at": payment.created_at,
        "deadline": saga.deadline,
        "attempts": saga.attempts,
        "charge_reference": saga.charge_reference,
        "refund_reference": saga.refund_reference,
    }


def timeline_members(lines: Sequence[NumberedLine], awaited: str | None) -> list[dict[str, Any]]:
    """Write lines of a timeline. Of the capture or void that is awaited the id is not told: until it has its
    outcome, whoever knows it could use it up for an event of their own."""
    return [{"number": each.number, **_line_members(each.line, awaited)} for each in lines]


def _line_members(line: Line, awaited: str | None) -> dict[str, Any]:
    return {
        "at": line.at,
        "happening": line.happening,
        "verdict": line.verdict,
        "state": line.state,
        "commands": line.commands,
        "attempt": line.attempt,
        "event": None if line.event_id == awaited else line.event_id,
        "next_at": line.next_at,
        "detail": line.detail,
        "by": line.by,
    }
