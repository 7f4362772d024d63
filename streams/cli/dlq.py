"""`ledger dlq`: dead letters listed, shown, mended, sent again, or dropped."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console

from ledger.adapters.postgres.dead_letters import PostgresDeadLetters
from ledger.adapters.postgres.precedents import PostgresPrecedents
from ledger.application.dead_letters import (
    Done,
    LetterHandledError,
    LetterPostedError,
    LetterQuery,
    LetterSummary,
    NoSuchLetterError,
    Place,
    PlaceFormatError,
    pages_of,
    places_of,
    read_letters,
)
from ledger.application.letter_chain import came_of, chain_to, tries_of
from ledger.application.letter_events import FindLetterEvent
from ledger.config import Settings
from ledger.contract.dead_letter import DeadLetterReason, NotAnEventError
from streams.awaiting_letters import AwaitLetters, Became, Fate
from streams.cli.asking import asked, confirm, user_name
from streams.cli.given import check_interval, check_texts
from streams.cli.letter_editing import fault_of, in_editor, with_members
from streams.cli.letters import (
    Shown,
    fate_facts,
    letter_facts,
    print_fates,
    print_letter,
    print_list,
    summary_facts,
)
from streams.cli.moments import MomentFormatError, parse_moment
from streams.cli.running import FOUND_WRONG, complain, print_json, refuse, told_faults
from streams.dead_letters import dropping, kept_letters, requeueing, unread
from streams.transport.errors import RecordTooLargeError

dlq = typer.Typer(
    help="Records that could not be events: list, show, edit, requeue or drop them.", no_args_is_help=True
)

Answer = TypeVar("Answer")

LETTER_HELP = "TOPIC/PARTITION/OFFSET, as `list` shows it."
MOMENT_HELP = "2026-11-21T10:00:00Z, a date, or 90s, 15m, 2h, 7d ago."

_PLACE = typer.Argument(..., metavar="LETTER", help=LETTER_HELP)
_PLACES = typer.Argument(None, metavar="LETTER…", help=LETTER_HELP)
_REASON = typer.Option(None, "--reason", help="Letters of this reason.")
_SINCE = typer.Option(None, "--since", metavar="TIME", help=f"Set aside at or after: {MOMENT_HELP}")
_UNTIL = typer.Option(None, "--until", metavar="TIME", help="Set aside before.")
_TOPIC = typer.Option(None, "--topic", help="Read from this topic.")
_PARTITION = typer.Option(None, "--partition", min=0, help="Read from this partition.")
_MANY = typer.Option(10_000, "--limit", min=1, max=1_000_000, help="At most so many, the oldest first.")
_YES = typer.Option(False, "--yes", help="Do it to every letter that the filters mean.")
_JSON = typer.Option(False, "--json", help="Print JSON.")
_WHY = typer.Option(None, "--why", help="Kept with the deed.")
_AGAIN = typer.Option(False, "--again", help="Even if it was requeued or dropped before.")
_REQUEUE_AGAIN = "`ledger dlq requeue --again` sends it once more."
_EDIT_AGAIN = "`ledger dlq edit --again` mends it all the same, and sends it once more."
_WAIT = typer.Option(0.0, "--wait", min=0, help="Wait up to so many seconds and tell what came of them.")


@dlq.command("list")
def list_letters(
    reason: DeadLetterReason | None = _REASON,
    since: str | None = _SINCE,
    until: str | None = _UNTIL,
    topic: str | None = _TOPIC,
    partition: int | None = _PARTITION,
    all_letters: bool = typer.Option(False, "--all", help="Also those requeued or dropped."),
    limit: int = typer.Option(50, "--limit", min=1, max=10_000, help="At most so many."),
    after: str | None = typer.Option(None, "--after", metavar="LETTER", help="Begin after this letter."),
    json_output: bool = _JSON,
) -> None:
    """List dead letters, the oldest first; those that are open, unless --all."""
    query = _query(reason, since, until, topic, partition, handled_too=all_letters)
    begin = _place(after) if after else None

    async def find(letters: PostgresDeadLetters) -> tuple[Sequence[LetterSummary], Mapping[Place, int]]:
        if begin is not None:
            await read_letters(letters, [begin], again=True)
        found = await letters.find(query, limit + 1, begin)
        await _refuse_unread(letters, query, found)
        return found, await tries_of(letters, found)

    found, tries = _run(find)
    shown = found[:limit]
    further = str(shown[-1].place) if len(found) > limit else None
    if json_output:
        print_json({"letters": [summary_facts(each, tries[each.place]) for each in shown], "next": further})
    elif shown:
        print_list(shown, tries)
        if further:
            complain(f"There are more: --after {further}")
    else:
        complain("No dead letters.")


@dlq.command("show")
def show_letter(
    letter: str = _PLACE,
    raw: bool = typer.Option(False, "--raw", help="Write the exact bytes, and nothing else."),
    json_output: bool = _JSON,
) -> None:
    """Show one dead letter: its bytes, key, headers, reason, what was done about it, and what came of that."""
    place = _place(letter)

    async def read(letters: PostgresDeadLetters) -> Shown:
        [stored] = await read_letters(letters, [place], again=True)
        [summary] = await letters.summaries([place])
        find_event = FindLetterEvent(PostgresPrecedents(letters.pool), bytes_max=Settings().record_bytes_max)
        chain, back = await chain_to(letters, summary), await came_of(letters, summary)
        return Shown(stored, chain, back, await find_event(stored))

    shown = _run(read)
    if raw:
        sys.stdout.buffer.write(shown.stored.letter.record.value or b"")
        sys.stdout.buffer.flush()
    elif json_output:
        print_json(letter_facts(shown))
    else:
        print_letter(shown, Console())


@dlq.command("edit")
def edit(
    letter: str = _PLACE,
    assignments: list[str] = typer.Option(
        [], "--set", metavar="PATH=VALUE", help="Set a member, as data.amount=1250; may be repeated."
    ),
    removals: list[str] = typer.Option(
        [], "--unset", metavar="PATH", help="Take a member out; may be repeated."
    ),
    why: str | None = _WHY,
    again: bool = _AGAIN,
    wait: float = _WAIT,
    json_output: bool = _JSON,
) -> None:
    """Mend a dead letter, in $EDITOR or with --set and --unset, and send it again. Refused if it is no event."""
    settings, place = Settings(), _place(letter)

    async def read(kept: PostgresDeadLetters) -> bytes:
        [stored] = await read_letters(kept, [place], again=again)
        return stored.letter.record.value or b""

    value = _run(read, hint=_EDIT_AGAIN)
    if assignments or removals:
        value = with_members(value, assignments, removals)
        if (fault := fault_of(value, settings.record_bytes_max)) is not None:
            refuse(f"That is no event either: {fault}")
    else:
        # Nothing stays connected while somebody thinks.
        value = in_editor(value, settings.record_bytes_max)

    async def send(kept: PostgresDeadLetters) -> tuple[Done, Sequence[Fate]]:
        async with requeueing(settings, kept) as use_case:
            done = await use_case.edited(place, value, user_name(), why, again=again)
        return done, await _came_of(kept, done, wait)

    _report_sent(*_run(send, hint=_EDIT_AGAIN), json_output)


@dlq.command("requeue")
def requeue(
    letters: list[str] | None = _PLACES,
    reason: DeadLetterReason | None = _REASON,
    since: str | None = _SINCE,
    until: str | None = _UNTIL,
    topic: str | None = _TOPIC,
    partition: int | None = _PARTITION,
    limit: int = _MANY,
    edit: Path | None = typer.Option(None, "--edit", help="Send the bytes of this file in their place."),
    why: str | None = _WHY,
    again: bool = _AGAIN,
    wait: float = _WAIT,
    yes: bool = _YES,
    json_output: bool = _JSON,
) -> None:
    """Send dead letters to the topic of payments again: the very same bytes, key and headers, unless --edit."""
    settings = Settings()
    query = _query(reason, since, until, topic, partition)
    places = _named(letters, query)
    check_texts("--why", why or "")
    if edit is not None and len(places) != 1:
        refuse("--edit goes with one letter.")
    value = _bytes_of(edit) if edit else None

    async def send(kept: PostgresDeadLetters) -> tuple[Done, Sequence[Fate]]:
        meant = places or await _meant(kept, query, limit, "requeued", yes=yes)
        async with requeueing(settings, kept) as use_case:
            if value is not None:
                done = await use_case.edited(meant[0], value, user_name(), why, again=again)
            else:
                pages = [await use_case(page, user_name(), why, again=again) for page in pages_of(meant)]
                done = _together(pages)
        return done, await _came_of(kept, done, wait)

    _report_sent(*_run(send), json_output)


@dlq.command("drop")
def drop(
    letters: list[str] | None = _PLACES,
    reason: DeadLetterReason | None = _REASON,
    since: str | None = _SINCE,
    until: str | None = _UNTIL,
    topic: str | None = _TOPIC,
    partition: int | None = _PARTITION,
    limit: int = _MANY,
    why: str | None = typer.Option(None, "--why", help="Why they need not be sent again; asked for."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask whether it is meant."),
    json_output: bool = _JSON,
) -> None:
    """Write down that dead letters need not be sent again, and why. Their bytes stay; `list --all` shows them."""
    query = _query(reason, since, until, topic, partition)
    places = _named(letters, query)
    reasoned = (why or asked("Why?", "--why TEXT says why they are dropped.")).strip()
    if not reasoned:
        refuse("--why is empty.")
    check_texts("--why", reasoned)

    async def mark(kept: PostgresDeadLetters) -> Done:
        meant = places or await _meant(kept, query, limit, "dropped", yes=yes)
        if places and not yes:
            confirm(f"{_letters(len(places))} would be dropped.")
        use_case = dropping(Settings(), kept)
        return _together([await use_case(page, user_name(), reasoned) for page in pages_of(meant)])

    _report("dropped", _run(mark), json_output)


def _run(work: Callable[[PostgresDeadLetters], Awaitable[Answer]], *, hint: str = _REQUEUE_AGAIN) -> Answer:
    """Run `work` on the letters; tells what is wrong in a sentence, and `hint` where a letter was handled before."""

    async def run() -> Answer:
        async with kept_letters(Settings()) as letters:
            return await work(letters)

    try:
        with told_faults():
            return asyncio.run(run())
    except (NoSuchLetterError, LetterHandledError, LetterPostedError, RecordTooLargeError) as error:
        complain(f"{error}\n{hint}" if isinstance(error, LetterHandledError) else str(error))
        raise typer.Exit(FOUND_WRONG) from error
    except NotAnEventError as error:
        refuse(f"That is no event either: {error}")


async def _meant(
    kept: PostgresDeadLetters, query: LetterQuery, limit: int, deed: str, *, yes: bool
) -> Sequence[Place]:
    meant = await places_of(kept, query, limit)
    await _refuse_unread(kept, query, meant)
    if meant and not yes:
        confirm(f"{_letters(len(meant))} would be {deed}.")
    if len(meant) == limit:
        complain(f"These are the oldest {limit}, as many as --limit says; there may be more.")
    return meant


async def _refuse_unread(kept: PostgresDeadLetters, query: LetterQuery, found: Sequence[object]) -> None:
    """Refuse a topic or a partition of which there is nothing, and never was."""
    fault = None if found else await unread(Settings(), kept, query.topic, query.partition)
    if fault is not None:
        refuse(fault)


def _named(letters: list[str] | None, query: LetterQuery) -> list[Place]:
    """The letters that are named, once each; either they or filters must be given, and not both."""
    places = list(dict.fromkeys(_place(each) for each in letters or ()))
    if bool(places) is not query.is_everything:
        refuse(
            "Name letters (TOPIC/PARTITION/OFFSET), or give filters (--reason, --since, …): one or the other."
        )
    return places


def _query(
    reason: DeadLetterReason | None,
    since: str | None,
    until: str | None,
    topic: str | None,
    partition: int | None,
    *,
    handled_too: bool = False,
) -> LetterQuery:
    now = datetime.now(UTC)
    try:
        begin = parse_moment(since, now) if since else None
        end = parse_moment(until, now) if until else None
    except MomentFormatError as error:
        refuse(str(error))
    check_interval(begin, end, now)
    return LetterQuery(reason, begin, end, topic, partition, handled_too)


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except PlaceFormatError as error:
        refuse(f"{error}.")


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        refuse(f"{file} cannot be read: {error.strerror or error}.")


def _together(pages: Sequence[Done]) -> Done:
    return Done(
        [place for page in pages for place in page.places], [each for page in pages for each in page.sent]
    )


async def _came_of(kept: PostgresDeadLetters, done: Done, wait_s: float) -> Sequence[Fate]:
    return await AwaitLetters.over(kept)(done.sent, wait_s) if wait_s else ()


def _report_sent(done: Done, fates: Sequence[Fate], json_output: bool) -> None:
    """Tell what was sent again, and what is known to have come of it; exit 1 if any came back, or none knows yet."""
    if json_output:
        print_json({**_facts("requeued", done), "came_of": [fate_facts(each) for each in fates]})
    else:
        print(f"{_letters(len(done.places))} requeued")
        print_fates(fates)
    if done.not_events and not fates:
        complain(
            "Not an event to this version either, and so to come back as a dead letter: "
            f"{len(done.not_events)} of {len(done.places)}."
        )
    if any(each.became in (Became.DEAD_LETTER, Became.PENDING) for each in fates):
        raise typer.Exit(FOUND_WRONG)


def _report(deed: str, done: Done, json_output: bool) -> None:
    if json_output:
        print_json(_facts(deed, done))
    else:
        print(f"{_letters(len(done.places))} {deed}")


def _facts(deed: str, done: Done) -> dict[str, Any]:
    return {
        deed: len(done.places),
        "letters": [str(place) for place in done.places],
        "not_events": [str(place) for place in done.not_events],
    }


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count} letters"
