"""Events: what became of each."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Reader, services_of
from ledger.api.answers import answer, entry_members, hold_members
from ledger.api.documented import READING, link, responses
from ledger.api.models import OutcomeAnswer
from ledger.api.parameters import EmptyQuery, EventInPath
from ledger.api.problems import EventNotFoundError
from ledger.application.reading import EventFacts

router = APIRouter(prefix="/v1/events", tags=["events"])

_LINKS = {
    "Transaction": link("getTransaction", "What it posted.", transaction="transaction"),
    "Hold": link("getHold", "The hold that it is about.", hold="hold/hold"),
}


@router.get(
    "/{event}",
    operation_id="getEvent",
    summary="Read what became of an event",
    responses=responses(
        OutcomeAnswer, *READING, EventNotFoundError, says="The outcome of the event.", links=_LINKS
    ),
)
async def get_event(request: Request, event: EventInPath, caller: Reader, query: EmptyQuery) -> Response:
    """Read the outcome of an event that was handled; one that is still on its way is not found yet."""
    found = await services_of(request).history.event(caller.tenant_id, event)
    if found is None:
        raise EventNotFoundError(f"No event {event} has been handled, or its month was dropped.")
    return answer(_outcome(found))


def _outcome(facts: EventFacts) -> dict[str, Any]:
    """Write it as the topic of outcomes has it, with the status: members that do not apply are left out."""
    members = {
        "event_id": facts.id,
        "event_type": facts.type,
        "status": facts.kind,
        "transaction": facts.transaction,
        "entries": [entry_members(entry) for entry in facts.entries] or None,
        "hold": None if facts.hold is None else hold_members(facts.hold),
        "reason": facts.reason,
        "detail": facts.detail,
        "posted_at": facts.posted_at,
    }
    return {name: value for name, value in members.items() if value is not None}
