"""Pages: templates filled in, faults as pages too, and the headers that keep everything from elsewhere out."""

import hashlib
from collections.abc import Callable, Coroutine, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.api.access import services_of
from ledger.api.console.filters import FILTERS
from ledger.api.console.visitors import NotSignedInError, Visitor, console_of, keep
from ledger.api.facts import facts_of
from ledger.api.faults import problem_of
from ledger.api.problems import ProblemError
from ledger.api.sessions import PATH

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
UNCACHED = (b"cache-control", b"no-store")
SEARCHES = "/console/search"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Link(NamedTuple):
    """An entry of the menu."""

    path: str
    name: str


MENU = (
    Link("/console", "Overview"),
    Link("/console/accounts", "Accounts"),
    Link("/console/payments", "Payments"),
    Link("/console/letters", "Dead letters"),
    Link("/console/trial-balance", "Trial balance"),
    Link("/console/reports", "Reports"),
    Link("/console/runbook", "Runbook"),
)
OPERATORS_ONLY = ("/console/letters", "/console/reports")


class Page(APIRoute):
    """A route whose faults are pages, and which sends to the sign-in whoever has not signed in."""

    def get_route_handler(self) -> Handler:
        """Wrap the route's own handler."""
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except NotSignedInError:
                return _to_sign_in(request)
            except Exception as error:
                return _fault_page(request, error)

        return told


def console_router() -> APIRouter:
    """Make a router of pages, which the documents of the API do not tell."""
    return APIRouter(prefix=PATH, include_in_schema=False, route_class=Page)


def page(
    request: Request, template: str, visitor: Visitor | None, *, status: int = 200, **context: Any
) -> HTMLResponse:
    """Fill in a page for whoever looks, and have the session last from now on, if its key is known to be good."""
    text = fill(template, request, visitor, **context)
    response = HTMLResponse(text, status_code=status)
    if visitor is not None and not visitor.books_are_away:
        sessions = console_of(request).sessions
        renewed = sessions.renewed(visitor.session, services_of(request).clock.now())
        if renewed is not None:
            keep(request, response, renewed)
    return response


def fill(template: str, request: Request, visitor: Visitor | None, **context: Any) -> str:
    """Fill in a template."""
    return (
        templates()
        .get_template(template)
        .render(
            visitor=visitor,
            menu=_menu_for(visitor),
            here=_section(request.url.path),
            now=services_of(request).clock.now(),
            **context,
        )
    )


@cache
def templates() -> Environment:
    """Give the templates; what is put into them is escaped, and what is not given is a fault."""
    made = Environment(
        loader=PackageLoader("ledger.api.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals.update(path=path_of, static=static_path)
    return made


def path_of(*parts: object, **query: object) -> str:
    """Write a path of the console, each part escaped; of the query only what is not None."""
    path = "/".join((PATH, *(quote(str(part), safe=":") for part in parts)))
    given = {name: str(value) for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


@cache
def static_path(name: str) -> str:
    """Write the path of a file that is served as it is; it changes with the file."""
    return f"{PATH}/static/{name}?v={static_digest(name)}"


@cache
def static_digest(name: str) -> str:
    """Name the content of a file."""
    return hashlib.sha256(static_bytes(name)).hexdigest()[:12]


def static_bytes(name: str) -> bytes:
    """Read a file that is served as it is."""
    return (files("ledger.api.console") / "static" / name).read_bytes()


def _menu_for(visitor: Visitor | None) -> Sequence[Link]:
    if visitor is None:
        return ()
    return [each for each in MENU if visitor.is_operator or each.path not in OPERATORS_ONLY]


def _section(path: str) -> str:
    """Say which entry of the menu a path belongs to."""
    first = path.removeprefix(PATH).strip("/").partition("/")[0]
    known = {each.path: each.path for each in MENU}
    return known.get(f"{PATH}/{first}" if first else PATH, "")


def _to_sign_in(request: Request) -> Response:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = path_of("sign-in", next=wanted if request.method == "GET" else None)
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)


def _fault_page(request: Request, error: Exception) -> Response:
    """Tell a fault in words; what nobody expected goes to the operators, and here comes its number."""
    problem = problem_of(error)
    facts = facts_of(request.scope)
    if problem.status == 500:
        facts.is_told = True
        services_of(request).signals.emit(
            "request.failed",
            correlation_id=facts.correlation_id,
            path=request.url.path,
            error=repr(error),
        )
    visitor = getattr(request.state, "visitor", None)
    text = fill("fault.html", request, visitor, problem=problem, number=facts.correlation_id)
    return HTMLResponse(text, status_code=problem.status, headers=_kept(problem))


def _kept(problem: ProblemError) -> dict[str, str]:
    return {name: value for name, value in problem.headers.items() if name.lower() != "www-authenticate"}


class ConsoleHeaders:
    """Middleware: every answer under the console's path lets nothing in from elsewhere, and is not kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_console(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_headers(message.get("headers", ()))
            await send(message)

        await self._app(scope, receive, marked)


def is_console(path: str) -> bool:
    """Tell whether a path is one of the console."""
    return path == PATH or path.startswith(f"{PATH}/")


def _with_headers(given: Any) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in given}
    added = [each for each in (*HEADERS.items(), UNCACHED) if each[0] not in names]
    return [*given, *added]
