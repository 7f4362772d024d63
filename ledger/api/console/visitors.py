"""Who looks: a session stands for a key, the key for a tenant and scopes; and no form counts without its token."""

import hmac
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import services_of
from ledger.api.console_services import ConsoleServices
from ledger.api.facts import facts_of
from ledger.api.problems import NotAvailableError, ProblemError
from ledger.api.sessions import COOKIE, PATH, Session
from ledger.application.access import Caller, Scope
from ledger.application.faults import BusyError, TransientFaultError

FIELDS_MAX = 2000
READING: frozenset[Scope] = frozenset({"read"})
FORM = "application/x-www-form-urlencoded"


class Visitor(NamedTuple):
    """Somebody who has signed in; `books_are_away`: the session is believed, for the books cannot be asked."""

    caller: Caller
    session: Session
    is_operator: bool
    books_are_away: bool = False

    @property
    def is_admin(self) -> bool:
        return "admin" in self.caller.scopes


class NotSignedInError(Exception):
    """Nobody has signed in, or the session or its key has ended."""


class ForbiddenError(ProblemError):
    """Whoever has signed in may not do this."""

    status, code, title = 403, "forbidden", "This is not for the key that you signed in with"


class TokenError(ProblemError):
    """A form came without the token of its session."""

    status, code, title = 403, "token_missing", "The form has expired"


class FormError(ProblemError):
    """What a form says makes no sense."""

    status, code, title = 422, "form", "The form is not filled in"


class NotThereError(ProblemError):
    """There is no such thing."""

    status, code, title = 404, "not_found", "There is no such thing"


def console_of(request: Request) -> ConsoleServices:
    """Give what the console stands on."""
    console = services_of(request).console
    if console is None:
        raise NotAvailableError("The console is not served here.")
    return console


def session_of(request: Request) -> Session | None:
    """Read the session, whoever it is of."""
    now = services_of(request).clock.now()
    return console_of(request).sessions.read(request.cookies.get(COOKIE), now)


async def visitor_of(request: Request, scope: Scope = "read", *, needs_books: bool = True) -> Visitor:
    """Find who looks; raises NotSignedInError, ForbiddenError, RateLimitedError.

    Where `needs_books` is false, the session is believed while the books are away; else TransientFaultError is raised,
    and OverloadedError in any case.
    """
    session = session_of(request)
    if session is None or session.caller is None:
        raise NotSignedInError
    caller, books_are_away = await _caller(request, session, session.caller, needs_books=needs_books)
    facts = facts_of(request.scope)
    facts.tenant = caller.tenant
    if (quotas := services_of(request).quotas) is not None:
        quotas.admit_request(caller, facts)
    visitor = Visitor(caller, session, is_operator(request, caller), books_are_away)
    request.state.visitor = visitor
    need(visitor, scope)
    return visitor


def need(visitor: Visitor, scope: Scope) -> None:
    """Refuse who lacks a scope."""
    if scope not in visitor.caller.scopes:
        raise ForbiddenError(f"It takes the scope {scope}: sign in with a key that has it.")


def need_operator(visitor: Visitor) -> None:
    """Refuse who is no operator."""
    if not visitor.is_operator:
        raise ForbiddenError(
            "Dead letters and reports belong to no tenant: they are shown to admin keys of the tenants in "
            "LEDGER_CONSOLE_OPERATORS."
        )


def is_operator(request: Request, caller: Caller) -> bool:
    """Tell whether a caller may see what belongs to no tenant."""
    return "admin" in caller.scopes and caller.tenant in console_of(request).operators


async def _caller(
    request: Request, session: Session, signed_in: Caller, *, needs_books: bool
) -> tuple[Caller, bool]:
    """Look whether key and session still count. Books that are only busy could tell: nothing is believed then."""
    try:
        found = await services_of(request).keys.holder_of(signed_in.key_id, session.mark)
    except TransientFaultError as fault:
        if needs_books or isinstance(fault, BusyError):
            raise
        return msgspec.structs.replace(signed_in, scopes=signed_in.scopes & READING), True
    if found is None:
        raise NotSignedInError
    return found, False


async def form_of(request: Request, session: Session | None) -> dict[str, list[str]]:
    """Read a form that came from a page of ours; raises TokenError and FormError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise FormError("It is no form.")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise TokenError("It came from another site.")
    form: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError as fault:
        raise FormError("It cannot be read.") from fault
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    given = form.pop("token", [""])[-1]
    if session is None or not hmac.compare_digest(given.encode(), session.token.encode()):
        raise TokenError("Your session has ended meanwhile: load the page again, and send it once more.")
    return form


def one(form: dict[str, list[str]], name: str, *, characters_max: int = 500) -> str:
    """Give the one value of a field, without spaces around; empty if it is not there. Raises FormError."""
    value = form.get(name, [""])[-1].strip()
    if len(value) > characters_max:
        raise FormError(f"{name} has more than {characters_max} characters.")
    if not value.isprintable():
        raise FormError(f"{name} has characters that cannot be seen.")
    return value


def keep(request: Request, response: Response, session: Session) -> None:
    """Have the browser keep a session."""
    response.set_cookie(
        COOKIE,
        console_of(request).sessions.write(session),
        max_age=session.until - int(services_of(request).clock.now().timestamp()),
        path=PATH,
        secure=request.url.scheme == "https",
        httponly=True,
        # Not strict: who follows a link from a chat is signed in. What is sent by POST is looked at by itself.
        samesite="lax",
    )


def forget(request: Request, response: Response) -> None:
    """Have the browser forget its session."""
    response.delete_cookie(
        COOKIE, path=PATH, secure=request.url.scheme == "https", httponly=True, samesite="lax"
    )
