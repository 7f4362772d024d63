"""The overview: the pipeline as a strip, live, and what is wrong in words."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ledger.api.access import services_of
from ledger.api.console.filters import count, rate, span
from ledger.api.console.pages import console_router, fill, page
from ledger.api.console.payments import breakers_for
from ledger.api.console.proofs import verification_of
from ledger.api.console.troubles import STUCK_SHOWN_MAX, Seen, Trouble, troubles_of
from ledger.api.console.visitors import NotSignedInError, Visitor, console_of, is_operator, visitor_of
from ledger.api.console_services import Waiting
from ledger.api.facts import facts_of
from ledger.api.problems import ProblemError
from ledger.api.streams import too_many
from ledger.application.faults import OverloadedError, TransientFaultError
from ledger.application.open_streams import TooManyStreamsError
from ledger.application.payment_ports import Payment
from ledger.application.pipeline import Pipeline, Rates, StreamStand
from ledger.application.provider_reading import BreakerTold, shut
from ledger.application.watch_pipeline import Watched
from ledger.domain.payments.saga import State

EVERY_S = 2.0
STREAM_S = 15 * 60.0
"""A stream is opened anew after this long, which looks at the session again."""
RETRY_MS = 2000

_encoder = msgspec.json.Encoder()


class Stage(NamedTuple):
    """One part of the strip."""

    name: str
    title: str
    state: str
    """`good`, `warning`, `bad` or `unknown`."""
    rate: str
    facts: Sequence[tuple[str, str]]


class Overview(NamedTuple):
    """What the page shows."""

    stages: Sequence[Stage]
    troubles: Sequence[Trouble]
    watched: Watched


def overview_router() -> APIRouter:
    """Make the routes."""
    router = console_router()
    router.get("")(show)
    router.get("/live")(live)
    router.get("/pipeline")(pipeline)
    return router


async def show(request: Request) -> Response:
    """Show the overview."""
    visitor = await visitor_of(request, needs_books=False)
    return page(request, "overview.html", visitor, overview=await overview_of(request, visitor))


async def pipeline(request: Request) -> Response:
    """Show each part of the pipeline in full."""
    visitor = await visitor_of(request, needs_books=False)
    seen = await overview_of(request, visitor)
    # By the session, while the books cannot be asked whether its key still counts: it is then that this helps.
    tells_faults = visitor.session.caller is not None and is_operator(request, visitor.session.caller)
    return page(
        request,
        "pipeline.html",
        visitor,
        overview=seen,
        api=console_of(request).stand(),
        whole=seen.watched,
        tells_faults=tells_faults,
    )


async def live(request: Request) -> Response:
    """Send the overview anew whenever it has changed, for as long as the session and the process last."""
    return _LiveOverview(request, await visitor_of(request, needs_books=False))


class _LiveOverview(StreamingResponse):
    """One open stream; too many are a problem, 429 or 503."""

    def __init__(self, request: Request, visitor: Visitor) -> None:
        super().__init__(_told(request, visitor), media_type="text/event-stream")
        self._place = console_of(request).streams.one_more(visitor.caller.tenant_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._place:
                # It waits from here on, and takes no place from those that are answered.
                facts_of(scope).release()
                await super().__call__(scope, receive, send)
        except TooManyStreamsError as error:
            raise too_many(error) from error


async def _told(request: Request, visitor: Visitor) -> AsyncIterator[str]:
    draining = services_of(request).draining
    yield f"retry: {RETRY_MS}\n\n"
    told = ""
    for _ in range(int(STREAM_S / EVERY_S)):
        overview = await overview_of(request, visitor)
        strip = fill("strip.html", request, visitor, overview=overview)
        troubles = fill("troubles.html", request, visitor, overview=overview)
        text = _encoder.encode({"strip": strip, "troubles": troubles}).decode()
        yield ": nothing new\n\n" if text == told else f"event: overview\ndata: {text}\n\n"
        told = text
        if await _has_begun(draining.begun) or await request.is_disconnected():
            return
        try:
            visitor = await visitor_of(request, needs_books=False)
        except (NotSignedInError, ProblemError):
            return
        except (TransientFaultError, OverloadedError):
            # A browser comes back late to a stream that is refused: it goes on with what belongs to no tenant.
            visitor = visitor._replace(is_operator=False, books_are_away=True)


async def _has_begun(begun: asyncio.Event) -> bool:
    """Wait for the next time; true if the process ends instead."""
    try:
        await asyncio.wait_for(begun.wait(), EVERY_S)
    except TimeoutError:
        return False
    return True


async def overview_of(request: Request, visitor: Visitor) -> Overview:
    """Look at everything; what cannot be asked is told of as wrong, and hides nothing else."""
    console = console_of(request)
    watched = await console.watch()
    waiting = await _waiting(request, visitor, watched.pipeline)
    counts, stuck, shut, violations, _ = waiting
    seen = Seen(watched.pipeline, console.stand(), counts, stuck, shut, violations)
    troubles = troubles_of(seen)
    return Overview(list(_stages(watched, seen, troubles)), troubles, watched)


async def _waiting(request: Request, visitor: Visitor, pipeline: Pipeline) -> Waiting:
    """Find what waits for people, as far as the visitor may see it: once for all who may see the same."""
    if visitor.books_are_away or "postgres" in pipeline.faults:
        return Waiting()
    of_all = visitor.is_operator and console_of(request).desk is not None
    # Without a desk an operator is shown the payments of the own tenant alone.
    whose = (visitor.is_operator, None if of_all else visitor.caller.tenant_id)
    return await console_of(request).waiting.of(whose, lambda: _look_at_what_waits(request, visitor))


async def _look_at_what_waits(request: Request, visitor: Visitor) -> Waiting:
    console = console_of(request)
    violations, is_told = await _violations(request)
    try:
        counts = await console.board.counts() if visitor.is_operator and console.board else None
        stuck = await _stuck(request, visitor)
        told = await breakers_for(request, visitor)
    except (TransientFaultError, OverloadedError):
        return Waiting(violations=violations, is_whole=False)
    return Waiting(counts, stuck, _shut_providers(told), violations, is_told)


async def _violations(request: Request) -> tuple[int | None, bool]:
    """Count what the last verification found wrong, None if none was kept; and whether the books could be asked."""
    try:
        verification = await verification_of(request)
    except TransientFaultError:
        # That the books are away is told of by what watches them.
        return None, False
    return (None if verification is None else verification.violations), True


async def _stuck(request: Request, visitor: Visitor) -> Sequence[Payment]:
    console, services = console_of(request), services_of(request)
    states, limit = [State.NEEDS_OPERATOR], STUCK_SHOWN_MAX + 1
    if visitor.is_operator and console.desk is not None:
        return await console.desk.list(None, states, limit)
    if services.payments is None:
        return ()
    caller = visitor.caller
    return await services.payments(caller.tenant_id).payments(caller.tenant, states, None, limit)


def _shut_providers(told: Sequence[BreakerTold]) -> list[BreakerTold]:
    names = dict.fromkeys((each.tenant, each.provider) for each in told)
    return [found for name in names if (found := shut(told, *name)) is not None]


def _stages(watched: Watched, seen: Seen, troubles: Sequence[Trouble]) -> Iterator[Stage]:
    """Lay the pipeline out, in the order in which a record goes through it."""
    pipeline, rates = watched
    states = _states(troubles)
    yield _topic(pipeline, rates, states)
    yield _posting(pipeline, rates, states)
    yield _books(pipeline, rates, states)
    yield _windows(pipeline, rates, states)
    yield _api(seen, rates, states)


def _states(troubles: Sequence[Trouble]) -> dict[str, str]:
    """Say of each part how it is, from the pages that tell of it."""
    states: dict[str, str] = {}
    for each in reversed(troubles):
        states[each.page.partition("#")[2]] = each.level
    return states


def _topic(pipeline: Pipeline, rates: Rates, states: dict[str, str]) -> Stage:
    if pipeline.payments is None:
        return Stage("payments", "Topic", "bad" if "kafka" in pipeline.faults else "unknown", "–", _NO_ANSWER)
    stand = pipeline.payments
    kept = sum(each.end - each.begin for each in stand.partitions)
    facts = [("topic", stand.topic), ("kept", count(kept, "record"))]
    return Stage("payments", "Topic", "good", rate(rates.written), facts)


def _posting(pipeline: Pipeline, rates: Rates, states: dict[str, str]) -> Stage:
    return _stream("payments", "Posting", pipeline.payments, pipeline, rates.posted, states)


def _windows(pipeline: Pipeline, rates: Rates, states: dict[str, str]) -> Stage:
    return _stream("entries", "Windows", pipeline.entries, pipeline, rates.windowed, states)


def _stream(
    name: str,
    title: str,
    stand: StreamStand | None,
    pipeline: Pipeline,
    per_second: float | None,
    states: dict[str, str],
) -> Stage:
    if stand is None:
        return Stage(name, title, "bad" if "kafka" in pipeline.faults else "unknown", "–", _NO_ANSWER)
    age = None if stand.oldest_waiting_at is None else pipeline.at - stand.oldest_waiting_at
    facts = [
        ("lag", f"{stand.lag:,}"),
        ("age", "0 s" if not stand.lag else span(age)),
        ("workers", f"{stand.members:,}"),
    ]
    return Stage(name, title, states.get(name, "good"), rate(per_second), facts)


def _books(pipeline: Pipeline, rates: Rates, states: dict[str, str]) -> Stage:
    books = pipeline.books
    if books is None:
        return Stage("books", "Books", "bad", "–", _NO_ANSWER)
    ago = None if books.moved_at is None else pipeline.at - books.moved_at
    facts = [("last posted", "never" if ago is None else f"{span(max(ago.total_seconds(), 0))} ago")]
    return Stage("books", "Books", states.get("books", "good"), rate(rates.posted), facts)


def _api(seen: Seen, rates: Rates, states: dict[str, str]) -> Stage:
    facts = [("in flight", f"{seen.api.in_flight:,}"), ("queued", f"{seen.api.queued:,}")]
    return Stage("api", "API", states.get("api", "good"), rate(rates.requests), facts)


_NO_ANSWER = (("", "no answer"),)
