"""Shedding: so many requests at once, so many that wait for a place, bodies so large; the rest hears no at once."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.api.facts import facts_of
from ledger.api.faults import problem_response
from ledger.api.problems import BodyTooLargeError, OverloadedProblemError
from ledger.application.places import Places
from ledger.observability.signals import Signals

WAIT_S = 0.25
"""Who has no place after this long is turned away: an answer that late would be of no use to the next either."""
EXEMPT = ("/health/", "/metrics")


class LoadShedding:
    """Middleware: a request without a place is answered 503 at once; health and metrics need none."""

    def __init__(self, app: ASGIApp, places: Places, signals: Signals) -> None:
        self._app = app
        self._places = places
        self._signals = signals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(EXEMPT):
            await self._app(scope, receive, send)
            return
        facts = facts_of(scope)
        # One queue for all: whose request it is is not known before its key is looked at.
        if not await self._places.take():
            facts.is_told = True
            self._signals.emit("request.shed", in_flight=self._places.in_flight)
            problem = OverloadedProblemError(
                "Too many requests are in flight already.", headers={"Retry-After": "1"}
            )
            await problem_response(problem, scope)(scope, receive, send)
            return
        facts.release = self._places.once()
        try:
            await self._app(scope, receive, send)
        finally:
            facts.release()


class BodyLimit:
    """Middleware: whoever reads a body larger than `bytes_max` gets BodyTooLargeError instead of the rest."""

    def __init__(self, app: ASGIApp, bytes_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        # Counted as it comes as well: a chunked body tells no length.
        size = 0
        is_told_too_large = told.isdigit() and int(told[:18]) > self._bytes_max

        async def bounded() -> Message:
            nonlocal size
            if is_told_too_large:
                raise self._too_large()
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._bytes_max:
                raise self._too_large()
            return message

        await self._app(scope, bounded, send)

    def _too_large(self) -> BodyTooLargeError:
        # What is left of the body is not read: the connection cannot be used again.
        return BodyTooLargeError(
            f"The body is larger than {self._bytes_max} bytes.", headers={"Connection": "close"}
        )
