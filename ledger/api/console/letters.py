"""Dead letters: browsed, shown byte for byte, mended, sent again or dropped, one or many at a time. For operators."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ledger.api.console.filters import BYTES_SHOWN_MAX, count
from ledger.api.console.pages import console_router, page, path_of
from ledger.api.console.payments import WHY_CHARACTERS_MAX, name_of
from ledger.api.console.visitors import (
    FormError,
    NotThereError,
    Visitor,
    console_of,
    form_of,
    need_operator,
    one,
    visitor_of,
)
from ledger.api.console_services import LetterDesk
from ledger.api.problems import NotAvailableError
from ledger.application.dead_letters import (
    LetterHandledError,
    LetterPostedError,
    LetterQuery,
    NoSuchLetterError,
    Place,
    PlaceFormatError,
    StoredLetter,
    pages_of,
    places_of,
)
from ledger.application.faults import LogAwayError, RecordRefusedError
from ledger.application.letter_chain import came_of, chain_to, tries_of
from ledger.contract.dead_letter import DeadLetterReason, NotAnEventError

LETTERS_A_PAGE = 50
MANY_MAX = 1000
"""Letters that are handled at once by what they have in common."""
EDITED_CHARACTERS_MAX = 1024 * 1024

_DEEDS = {"requeue": "requeued", "drop": "dropped"}
_NUMBER = re.compile(r"[0-9]{1,4}")
_MENDED, _MENDED_SAYS = "mended", "The mended letter was sent."

Topic = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Number = Annotated[str, Path(pattern=r"^\d{1,19}$")]


def letters_router() -> APIRouter:
    """Make the routes."""
    router = console_router()
    router.get("/letters")(listed)
    router.post("/letters")(handle)
    router.get("/letters/{topic}/{partition}/{offset}")(show)
    router.post("/letters/{topic}/{partition}/{offset}")(edit)
    return router


async def listed(request: Request) -> Response:
    """List dead letters, the oldest first; those that are open, unless all are asked for."""
    visitor, desk = await _operator(request)
    return await _list(request, visitor, desk)


async def _list(
    request: Request, visitor: Visitor, desk: LetterDesk, fault: str | None = None, status: int = 200
) -> Response:
    given = request.query_params
    reason, after = given.get("reason", ""), given.get("after", "")
    query = LetterQuery(reason=_reason(reason), handled_too="all" in given)
    found = await desk.letters.find(query, LETTERS_A_PAGE + 1, _place(after) if after else None)
    shown = found[:LETTERS_A_PAGE]
    return page(
        request,
        "letters.html",
        visitor,
        status=status,
        found=shown,
        tries=await tries_of(desk.letters, shown),
        reason=reason,
        reasons=list(DeadLetterReason),
        every="all" in given,
        following=str(shown[-1].place) if len(found) > LETTERS_A_PAGE else None,
        fault=fault,
        done=_done(request),
        many_max=MANY_MAX,
    )


async def show(request: Request, topic: Topic, partition: Number, offset: Number) -> Response:
    """Show one letter: its bytes, why it is none, what was done about it, and what came of that."""
    visitor, desk = await _operator(request)
    return await _shown(request, visitor, desk, _place(f"{topic}/{partition}/{offset}"))


async def _shown(
    request: Request,
    visitor: Visitor,
    desk: LetterDesk,
    place: Place,
    fault: str | None = None,
    status: int = 200,
    edited: str | None = None,
) -> Response:
    found = await desk.letters.read([place])
    if not found:
        raise NotThereError(f"There is no dead letter at {place}.")
    [summary] = await desk.letters.summaries([place])
    return page(
        request,
        "letter.html",
        visitor,
        status=status,
        stored=found[0],
        chain=await chain_to(desk.letters, summary),
        came_of=await came_of(desk.letters, summary),
        event=await desk.find_event(found[0]),
        text=edited if edited is not None else _as_text(found[0]),
        shown_max=BYTES_SHOWN_MAX,
        fault=fault,
        done=_MENDED_SAYS if request.query_params.get("done") == _MENDED else None,
    )


def _as_text(stored: StoredLetter) -> str | None:
    """Give the value as text that can be edited; None: it is not UTF-8, or too large for a page."""
    value = stored.letter.record.value or b""
    if len(value) > EDITED_CHARACTERS_MAX:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


async def handle(request: Request) -> Response:
    """Requeue or drop the letters that were chosen, or all that the filter means."""
    visitor, desk = await _operator(request)
    form = await form_of(request, visitor.session)
    deed, reason = one(form, "deed"), one(form, "why", characters_max=WHY_CHARACTERS_MAX)
    try:
        places = await _meant(desk, form)
        if deed not in _DEEDS or not places:
            raise FormError("Choose letters, and what is to be done about them.")
        if deed == "drop" and not reason:
            raise FormError("Say why they are dropped.")
        again = bool(form.get("again"))
        back = await _do(desk, deed, places, name_of(visitor), reason, again=again)
    except (NoSuchLetterError, LetterHandledError, LetterPostedError, FormError) as error:
        return await _list(request, visitor, desk, str(error), 409)
    except (LogAwayError, RecordRefusedError) as error:
        return await _list(request, visitor, desk, f"Nothing more was sent: {error}.", 503)
    return RedirectResponse(path_of("letters", done=deed, letters=len(places), back=back or None), 303)


def _done(request: Request) -> str | None:
    """Say what was done. An address may be anybody's: it tells a deed and numbers, and no text of it is shown."""
    given = request.query_params
    deed, letters, back = _DEEDS.get(given.get("done", "")), _number(given, "letters"), _number(given, "back")
    if deed is None or letters is None:
        return None
    told = f"{count(letters, 'letter')} {deed}."
    if back:
        told += f" {count(back, 'letter')} will come back: what was sent is no event to this version either."
    return told


def _number(given: QueryParams, name: str) -> int | None:
    text = given.get(name, "")
    return int(text) if _NUMBER.fullmatch(text) else None


async def _meant(desk: LetterDesk, form: dict[str, list[str]]) -> Sequence[Place]:
    if form.get("every"):
        reason = _reason(one(form, "reason"))
        return await places_of(desk.letters, LetterQuery(reason=reason), MANY_MAX)
    return [_place(each) for each in dict.fromkeys(form.get("letter", ()))]


async def _do(
    desk: LetterDesk, deed: str, places: Sequence[Place], by: str, reason: str, *, again: bool
) -> int:
    """Do it, some at a time; gives how many of those that were sent will come back."""
    back = 0
    async with desk.one_at_a_time:
        for some in pages_of(places):
            if deed == "drop":
                await desk.drop(some, by, reason)
            else:
                back += len((await _requeue(desk)(some, by, reason or None, again=again)).not_events)
    return back


def _requeue(desk: LetterDesk) -> Any:
    if desk.requeue is None:
        raise NotAvailableError("Kafka is not set up here, so nothing can be sent again.")
    return desk.requeue


async def edit(request: Request, topic: Topic, partition: Number, offset: Number) -> Response:
    """Send a mended letter in place of its bytes; what is no event then either is refused."""
    visitor, desk = await _operator(request)
    form = await form_of(request, visitor.session)
    place = _place(f"{topic}/{partition}/{offset}")
    # A browser sends every end of a line as two characters.
    text = form.get("value", [""])[-1].replace("\r\n", "\n")
    reason, again = one(form, "why", characters_max=WHY_CHARACTERS_MAX) or None, bool(form.get("again"))
    try:
        async with desk.one_at_a_time:
            await _requeue(desk).edited(place, text.encode(), name_of(visitor), reason, again=again)
    except NotAnEventError as error:
        says = f"That is no event either: {error}."
        return await _shown(request, visitor, desk, place, says, 422, text)
    except (NoSuchLetterError, LetterHandledError, LetterPostedError) as error:
        return await _shown(request, visitor, desk, place, str(error), 409, text)
    except (LogAwayError, RecordRefusedError) as error:
        return await _shown(request, visitor, desk, place, f"It was not sent: {error}.", 503, text)
    return RedirectResponse(path_of("letters", *place, done=_MENDED), 303)


async def _operator(request: Request) -> tuple[Visitor, LetterDesk]:
    visitor = await visitor_of(request)
    need_operator(visitor)
    desk = console_of(request).letters
    if desk is None:
        raise NotAvailableError("Dead letters are not served here.")
    return visitor, desk


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except PlaceFormatError as fault:
        raise NotThereError(f"{fault}.") from fault


def _reason(text: str) -> DeadLetterReason | None:
    if not text:
        return None
    if text not in set(DeadLetterReason):
        raise NotThereError(f"There is no reason {text}.")
    return DeadLetterReason(text)
