"""Holds: funds set aside, and what captured of them."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Reader, services_of
from ledger.api.answers import answer, hold_members
from ledger.api.documented import READING, link, responses
from ledger.api.models import HoldAnswer
from ledger.api.parameters import EmptyQuery, HoldInPath
from ledger.api.problems import HoldNotFoundError

router = APIRouter(prefix="/v1/holds", tags=["holds"])

_LINKS = {
    "Event": link("getEvent", "The event that placed it.", event="hold"),
    "Capture": link("getTransaction", "The first that captured of it.", transaction="captures/0"),
    "Account": link("getAccount", "The account whose funds it holds.", account="debit"),
}


@router.get(
    "/{hold}",
    operation_id="getHold",
    summary="Read a hold",
    responses=responses(HoldAnswer, *READING, HoldNotFoundError, says="The hold.", links=_LINKS),
)
async def get_hold(request: Request, hold: HoldInPath, caller: Reader, query: EmptyQuery) -> Response:
    """Read a hold as it stands; its id is that of the event that placed it."""
    found = await services_of(request).history.hold(caller.tenant_id, hold)
    if found is None:
        raise HoldNotFoundError(f"There is no hold {hold}.")
    return answer(
        {
            **hold_members(found),
            "debit": found.debit,
            "credit": found.credit,
            "asset": found.asset,
            "placed_at": found.placed_at,
            "expires_at": found.expires_at,
            "reference": found.reference,
            "captures": found.captures,
        }
    )
