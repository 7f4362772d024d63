"""All pages of the console, and where a search leads."""

import re
from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ledger.api.access import services_of
from ledger.api.console.accounts import accounts_router
from ledger.api.console.letters import letters_router
from ledger.api.console.overview import overview_router
from ledger.api.console.pages import console_router, path_of
from ledger.api.console.payments import payments_router
from ledger.api.console.proofs import proofs_router
from ledger.api.console.records import records_router
from ledger.api.console.runbook import runbook_router
from ledger.api.console.sign_in import sign_in_router
from ledger.api.console.static import static_router
from ledger.api.console.visitors import NotThereError, visitor_of
from ledger.api.parameters import ACCOUNT_PATTERN, ID_PATTERN

_ID = re.compile(ID_PATTERN)
_ACCOUNT = re.compile(ACCOUNT_PATTERN)
_LETTER = re.compile(r"[A-Za-z0-9._-]{1,249}/\d{1,10}/\d{1,19}")


def console_routers() -> Sequence[APIRouter]:
    """Make the routers, in the order in which they are asked."""
    return (
        sign_in_router(),
        static_router(),
        overview_router(),
        accounts_router(),
        payments_router(),
        letters_router(),
        records_router(),
        proofs_router(),
        runbook_router(),
        _last_router(),
    )


def _last_router() -> APIRouter:
    router = console_router()
    router.get("/search")(search)
    router.get("/{rest:path}")(nowhere)
    return router


async def search(request: Request) -> Response:
    """Lead to what was looked for: an id, a dead letter, an account, or how an account begins."""
    visitor = await visitor_of(request)
    wanted = request.query_params.get("q", "").strip()
    if _ACCOUNT.fullmatch(wanted) and not _ID.fullmatch(wanted):
        account = await services_of(request).balances.account(visitor.caller.tenant_id, wanted)
        if account is not None:
            return RedirectResponse(path_of("accounts", wanted), 303)
    return RedirectResponse(found_at(wanted), 303)


def found_at(wanted: str) -> str:
    """Say which page a search leads to that names no account."""
    if _ID.fullmatch(wanted):
        return path_of("events", wanted.lower())
    if _LETTER.fullmatch(wanted):
        return path_of("letters", *wanted.rsplit("/", 2))
    return path_of("accounts", prefix=wanted or None)


async def nowhere(request: Request, rest: str) -> Response:
    """Answer for what is not there."""
    if not rest:
        return RedirectResponse(path_of(), 308)
    await visitor_of(request)
    raise NotThereError("No page is here.")
