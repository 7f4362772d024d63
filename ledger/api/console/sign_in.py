"""Signing in with a key of the API, and out."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ledger.api.access import services_of
from ledger.api.console.pages import console_router, is_console, page, path_of
from ledger.api.console.visitors import console_of, forget, form_of, keep, one, session_of
from ledger.api.sessions import Session
from ledger.application.faults import OverloadedError, TransientFaultError

KEY_CHARACTERS_MAX = 200
NOT_GOOD = "The key is not known, was revoked, or is past its time."
AWAY = (
    "PostgreSQL cannot be read just now, so the key cannot be looked up. Whoever has signed in already, or used the "
    "key within the last minutes, is let in."
)

NOT_ENDED = (
    "PostgreSQL cannot be written just now: this browser has forgotten the session, but whoever copied its cookie "
    "may use it until it ends by itself. `ledger key revoke` ends all sessions of the key as soon as that works."
)


def sign_in_router() -> APIRouter:
    """Make the routes."""
    router = console_router()
    router.get("/sign-in")(show)
    router.post("/sign-in")(sign_in)
    router.post("/sign-out")(sign_out)
    return router


async def show(request: Request) -> Response:
    """Show the form, with a session that nobody has signed in to, for its token."""
    return _form(request, _wanted(request.query_params.get("next", "")))


async def sign_in(request: Request) -> Response:
    """Begin a session for the holder of a key."""
    form = await form_of(request, session_of(request))
    wanted = _wanted(one(form, "next"))
    services = services_of(request)
    try:
        caller = await services.keys.caller_of(one(form, "key", characters_max=KEY_CHARACTERS_MAX))
    except (TransientFaultError, OverloadedError):
        return _form(request, wanted, AWAY, 503)
    if caller is None:
        return _form(request, wanted, NOT_GOOD, 403)
    response = RedirectResponse(wanted, 303)
    keep(request, response, console_of(request).sessions.begin(services.clock.now(), caller))
    return response


async def sign_out(request: Request) -> Response:
    """End the session, wherever its cookie may be."""
    session = session_of(request)
    await form_of(request, session)
    try:
        if session is not None and session.caller is not None:
            await services_of(request).keys.end_session(session.caller.key_id, session.mark)
    except (TransientFaultError, OverloadedError):
        return _form(request, path_of(), NOT_ENDED, 503, _nobodys(request))
    response = RedirectResponse(path_of("sign-in"), 303)
    forget(request, response)
    return response


def _form(
    request: Request, wanted: str, fault: str | None = None, status: int = 200, session: Session | None = None
) -> Response:
    """Show the form; the browser keeps `session` from here on, else the one that it has or a new one."""
    session = session or session_of(request) or _nobodys(request)
    response = page(
        request, "sign_in.html", None, status=status, wanted=wanted, fault=fault, token=session.token
    )
    keep(request, response, session)
    return response


def _nobodys(request: Request) -> Session:
    """Begin a session that nobody has signed in to."""
    return console_of(request).sessions.begin(services_of(request).clock.now())


def _wanted(path: str) -> str:
    """Lead only to where the console is."""
    return path if is_console(path.partition("?")[0]) and path.isprintable() else path_of()
