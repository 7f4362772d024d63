"""What speaks for the books: the trial balance, the last verification, and reports of replays and measurements."""

import re
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import services_of
from ledger.api.console.pages import console_router, page
from ledger.api.console.visitors import NotThereError, console_of, need_operator, visitor_of
from ledger.application.reports import Verification
from ledger.domain.audit import MEANINGS

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def proofs_router() -> APIRouter:
    """Make the routes."""
    router = console_router()
    router.get("/trial-balance")(trial_balance)
    router.get("/reports")(listed)
    router.get("/reports/{name:path}")(show)
    return router


async def trial_balance(request: Request) -> Response:
    """Show that all balances of an asset come to zero, and what the last verification said of the books."""
    visitor = await visitor_of(request)
    totals = await services_of(request).history.trial_balance(visitor.caller.tenant_id, None)
    return page(
        request,
        "trial_balance.html",
        visitor,
        totals=totals,
        verification=await verification_of(request),
        meanings=MEANINGS,
    )


async def verification_of(request: Request) -> Verification | None:
    """Read the last verdict that was kept, if any was; may raise TransientFaultError."""
    verifications = console_of(request).verifications
    return None if verifications is None else await verifications.last()


async def listed(request: Request) -> Response:
    """List the reports that are kept."""
    visitor = await visitor_of(request)
    need_operator(visitor)
    reports = console_of(request).reports
    files = [] if reports is None else await reports.files()
    return page(request, "reports.html", visitor, files=files)


async def show(request: Request, name: str) -> Response:
    """Show a report that is a document; give any other to be kept, for its scripts and styles are not ours."""
    visitor = await visitor_of(request)
    need_operator(visitor)
    reports = console_of(request).reports
    content = None if reports is None else await reports.read(name)
    if content is None:
        raise NotThereError(f"There is no report {name}, or it is too large to be shown.")
    if not name.endswith(".json"):
        kept = _UNSAFE.sub("_", name.rpartition("/")[2])
        headers = {"Content-Disposition": f'attachment; filename="{kept}"'}
        return Response(content, media_type="application/octet-stream", headers=headers)
    return page(request, "report.html", visitor, name=name, report=_document(content), text=content)


def _document(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
