"""Shedding: so many requests at once, so many that wait for a place, bodies so large; the rest hears no at once."""

import asyncio
from collections import deque
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.api.facts import facts_of
from ledger.api.faults import problem_response
from ledger.api.problems import BodyTooLargeError, OverloadedProblemError
from ledger.observability.signals import Signals

WAIT_S = 0.25
"""Who has no place after this long is turned away: an answer that late would be of no use to the next either."""
EXEMPT = ("/health/", "/metrics")


class Places:
    """Places for requests in flight, and a queue for them, first come, first served."""

    def __init__(self, in_flight_max: int, queue_max: int, wait_s: float = WAIT_S) -> None:
        self._in_flight_max = in_flight_max
        self._queue_max = queue_max
        self._wait_s = wait_s
        self._queue: deque[asyncio.Future[None]] = deque()
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def take(self) -> bool:
        """Take a place, or wait a little for one; False: there is none."""
        if self.in_flight < self._in_flight_max:
            self.in_flight += 1
            return True
        if len(self._queue) >= self._queue_max:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await asyncio.wait({turn}, timeout=self._wait_s)
        except asyncio.CancelledError:
            if turn.done():
                self.give_back()
            raise
        finally:
            if not turn.done():
                self._queue.remove(turn)
        return turn.done()

    def give_back(self) -> None:
        """Give a place to the first in the queue, or back."""
        if self._queue:
            self._queue.popleft().set_result(None)
        else:
            self.in_flight -= 1

    def once(self) -> Callable[[], None]:
        """Give a function that gives one place back, however often it is called."""
        given = False

        def give_back() -> None:
            nonlocal given
            if not given:
                given = True
                self.give_back()

        return give_back


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
        if not await self._places.take():
            facts.is_told = True
            self._signals.emit("request.shed", in_flight=self._places.in_flight)
            problem = OverloadedProblemError(
                "Too many requests are in flight already.", headers={"Retry-After": "1"}
            )
            await problem_response(problem, scope["path"])(scope, receive, send)
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
