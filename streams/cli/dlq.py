"""`ledger dlq`: dead letters listed, shown, sent again, or dropped."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import typer
from rich.console import Console

from ledger.adapters.postgres.dead_letters import PostgresDeadLetters
from ledger.application.dead_letters import (
    Done,
    LetterHandledError,
    LetterQuery,
    LetterSummary,
    NoSuchLetterError,
    Place,
    PlaceFormatError,
    StoredLetter,
    pages_of,
    places_of,
    read_letters,
)
from ledger.config import Settings
from ledger.contract.dead_letter import DeadLetterReason, NotAnEventError
from streams.cli.asking import asked, confirm, user_name
from streams.cli.given import check_texts
from streams.cli.letters import letter_facts, print_letter, print_list, summary_facts
from streams.cli.moments import MomentFormatError, parse_moment
from streams.cli.running import FOUND_WRONG, complain, print_json, refuse, told_faults
from streams.dead_letters import dropping, kept_letters, requeueing
from streams.transport.errors import RecordTooLargeError

dlq = typer.Typer(
    help="Records that could not be events: list, show, requeue or drop them.", no_args_is_help=True
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

    async def find(letters: PostgresDeadLetters) -> Sequence[LetterSummary]:
        if begin is not None:
            await read_letters(letters, [begin], again=True)
        return await letters.find(query, limit + 1, begin)

    found = _run(find)
    shown = found[:limit]
    further = str(shown[-1].place) if len(found) > limit else None
    if json_output:
        print_json({"letters": [summary_facts(each) for each in shown], "next": further})
    elif shown:
        print_list(shown)
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
    """Show one dead letter: its bytes, key, headers, reason, and what was done about it."""
    place = _place(letter)

    async def read(letters: PostgresDeadLetters) -> StoredLetter:
        [stored] = await read_letters(letters, [place], again=True)
        return stored

    stored = _run(read)
    if raw:
        sys.stdout.buffer.write(stored.letter.record.value or b"")
        sys.stdout.buffer.flush()
    elif json_output:
        print_json(letter_facts(stored))
    else:
        print_letter(stored, Console())


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
    why: str | None = typer.Option(None, "--why", help="Kept with the deed."),
    again: bool = typer.Option(False, "--again", help="Even if it was requeued or dropped before."),
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

    async def send(kept: PostgresDeadLetters) -> Done:
        meant = places or await _meant(kept, query, limit, "requeued", yes=yes)
        async with requeueing(settings, kept) as use_case:
            if value is not None:
                return await use_case.edited(meant[0], value, user_name(), why, again=again)
            pages = [await use_case(page, user_name(), why, again=again) for page in pages_of(meant)]
        return _together(pages)

    done = _run(send)
    _report("requeued", done, json_output)
    if done.not_events:
        complain(
            "Not an event to this version either, and so to come back as a dead letter: "
            f"{len(done.not_events)} of {len(done.places)}."
        )


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
        use_case = dropping(kept)
        return _together([await use_case(page, user_name(), reasoned) for page in pages_of(meant)])

    _report("dropped", _run(mark), json_output)


def _run(work: Callable[[PostgresDeadLetters], Awaitable[Answer]]) -> Answer:
    """Run `work` on the letters; tells what is wrong in a sentence."""

    async def run() -> Answer:
        async with kept_letters(Settings()) as letters:
            return await work(letters)

    try:
        with told_faults():
            return asyncio.run(run())
    except (NoSuchLetterError, LetterHandledError, RecordTooLargeError) as error:
        hint = "\nrequeue --again sends it once more." if isinstance(error, LetterHandledError) else ""
        complain(f"{error}{hint}")
        raise typer.Exit(FOUND_WRONG) from error
    except NotAnEventError as error:
        refuse(f"That is no event either: {error}")


async def _meant(
    kept: PostgresDeadLetters, query: LetterQuery, limit: int, deed: str, *, yes: bool
) -> Sequence[Place]:
    meant = await places_of(kept, query, limit)
    if meant and not yes:
        confirm(f"{_letters(len(meant))} would be {deed}.")
    if len(meant) == limit:
        complain(f"These are the oldest {limit}, as many as --limit says; there may be more.")
    return meant


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
        [place for page in pages for place in page.places],
        [place for page in pages for place in page.not_events],
    )


def _report(deed: str, done: Done, json_output: bool) -> None:
    if json_output:
        facts = {"letters": [str(place) for place in done.places]}
        print_json({deed: len(done.places), **facts, "not_events": [str(place) for place in done.not_events]})
    else:
        print(f"{_letters(len(done.places))} {deed}")


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count} letters"
