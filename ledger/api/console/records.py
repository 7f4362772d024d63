"""An event and its transaction by their id: what came in, what it did, where it was published, and its trace."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ledger.api.access import services_of
from ledger.api.console.filters import BYTES_SHOWN_MAX
from ledger.api.console.pages import console_router, page, path_of
from ledger.api.console.visitors import NotThereError, Visitor, console_of, visitor_of
from ledger.api.parameters import ID_PATTERN
from ledger.application.dead_letters import Place
from ledger.application.payment_ports import PaymentKey
from ledger.application.pipeline import StreamAskError
from ledger.application.reading import EventFacts, TransactionView
from ledger.contract.dead_letter import Record
from ledger.contract.outgoing import record_key

Id = Annotated[str, Path(pattern=ID_PATTERN)]
REQUEST = "payment.request.v1"

_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class CameIn(NamedTuple):
    """The record that an event came in, as far as it can be told."""

    place: Place | None = None
    record: Record | None = None
    trace_id: str | None = None
    trace_page: str | None = None
    fault: str | None = None


class Published(NamedTuple):
    """Where something that came of an event was published: the topic, and under which key."""

    what: str
    topic: str
    key: bytes | None


def records_router() -> APIRouter:
    """Make the routes."""
    router = console_router()
    router.get("/events/{event}")(show_event)
    router.get("/transactions/{transaction}")(show_transaction)
    return router


async def show_transaction(request: Request, transaction: Id) -> Response:
    """Lead to the event: a transaction has its id, and the page shows both."""
    await visitor_of(request)
    return RedirectResponse(f"{path_of('events', transaction.lower())}#transaction", 303)


async def show_event(request: Request, event: Id) -> Response:
    """Show an event by its id; of one that is not there, say what it may be."""
    visitor = await visitor_of(request)
    services, caller = services_of(request), visitor.caller
    facts = await services.history.event(caller.tenant_id, event.lower())
    if facts is None:
        tenants = await _tenants_with_payment(request, visitor, event.lower())
        if len(tenants) == 1:
            return RedirectResponse(path_of("payments", tenants[0], event.lower()), 303)
        raise NotThereError(_not_known(event, caller.tenant, tenants))
    transaction = (
        await services.history.transaction(caller.tenant_id, facts.id) if facts.transaction else None
    )
    came_in = await _came_in(request, visitor, facts.id)
    return page(
        request,
        "event.html",
        visitor,
        event=facts,
        transaction=transaction,
        came_in=came_in,
        shown_max=BYTES_SHOWN_MAX,
        published=_published(request, visitor, facts, transaction, came_in),
        is_payment=await _is_payment(request, visitor, facts),
    )


def _not_known(event: str, tenant: str, tenants: Sequence[str]) -> str:
    known = f"The books of {tenant} know no event {event}"
    if tenants:
        # One tenant may have used the id of another's: a person decides whose is meant.
        pages = ", ".join(path_of("payments", each, event.lower()) for each in tenants)
        return f"{known}; more than one tenant has a payment of that id: {pages}."
    return f"{known}: it is still on its way, was never sent, is a dead letter, or its month was dropped."


async def _tenants_with_payment(request: Request, visitor: Visitor, payment: str) -> Sequence[str]:
    """Name the tenants that have a payment of this id: to operators, who see those of all."""
    payments = console_of(request).payments
    return () if payments is None or not visitor.is_operator else await payments.tenants_of(payment)


async def _is_payment(request: Request, visitor: Visitor, facts: EventFacts) -> bool:
    """Tell whether the event requested a payment, which then has its id."""
    payments = services_of(request).payments
    if payments is None or facts.type != REQUEST or facts.kind != "posted":
        return False
    reader = payments(visitor.caller.tenant_id)
    return await reader.payment(PaymentKey(visitor.caller.tenant, facts.id)) is not None


async def _came_in(request: Request, visitor: Visitor, event_id: str) -> CameIn:
    console = console_of(request)
    if console.origins is None:
        return CameIn(fault="Where events come from is not told here.")
    place = await console.origins.place_of(visitor.caller.tenant, event_id)
    if place is None or console.records is None:
        return CameIn(place)
    try:
        record = await console.records.read(place)
    except StreamAskError:
        return CameIn(place, fault="Kafka does not answer, so the record itself is not shown.")
    if record is None or not _is_of(record, visitor.caller.tenant, event_id):
        return CameIn(place, fault="The topic does not hold that record any more.")
    trace_id, shown_at = trace_id_of(record), services_of(request).settings.traces_page
    trace_page = shown_at.replace("{trace}", trace_id) if shown_at and trace_id else None
    return CameIn(place, record, trace_id, trace_page)


def _envelope(record: Record) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_of(record: Record, tenant: str, event_id: str) -> bool:
    """Tell whether a record is the event: a topic that was made anew has others in its places."""
    envelope = _envelope(record)
    return (envelope.get("tenant"), str(envelope.get("id")).lower()) == (tenant, event_id)


def trace_id_of(record: Record) -> str | None:
    """Read the id of the trace that a record belongs to: the event's own counts before that of its headers."""
    own = _envelope(record).get("traceparent")
    headers = [
        value.decode("ascii", "replace") for name, value in record.headers if name == "traceparent" and value
    ]
    for given in headers if own is None else [own]:
        found = _TRACE.fullmatch(given) if isinstance(given, str) else None
        if found is not None:
            return found[1]
    return None


def _published(
    request: Request,
    visitor: Visitor,
    facts: EventFacts,
    transaction: TransactionView | None,
    came_in: CameIn,
) -> Sequence[Published]:
    """Say where its outcome and its entries went: each under the key that keeps those of one account in order."""
    settings, tenant = services_of(request).settings, visitor.caller.tenant
    key = None if came_in.record is None else came_in.record.key
    found = [Published(f"its outcome, {facts.kind}", settings.outcomes_topic, key)]
    for entry in transaction.entries if transaction else ():
        says = f"entry {entry.version:,} of {entry.account}"
        found.append(Published(says, settings.entries_topic, record_key(tenant, entry.account)))
    return found
