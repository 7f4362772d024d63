"""`ledger replay`: history run again, tried in memory, rebuilt in a schema of its own, or into the live books."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import typer

from ledger.application.archive_ports import ArchiveError
from ledger.application.dead_letters import LetterQuery, Place, PlaceFormatError
from ledger.application.replaying import NoLongerAloneError
from ledger.config import Settings
from ledger.contract.dead_letter import DeadLetterReason
from streams.cli.asking import asked, confirm, user_name
from streams.cli.given import check_event_id, check_interval, check_tenant, check_type
from streams.cli.made_by import made_by
from streams.cli.moments import MomentFormatError, parse_moment
from streams.cli.replay_progress import HowFar, stopped_told
from streams.cli.report_file import keep_report, refuse_unwritable
from streams.cli.running import (
    FOUND_WRONG,
    SERVICE_AWAY,
    USED_WRONGLY,
    as_sentence,
    complain,
    print_json,
    refuse,
    told_faults,
)
from streams.cli.stopping import StoppedError, until_stopped
from streams.collecting import collect_rarely
from streams.loops import new_event_loop
from streams.replay.faults import NotReplayableError
from streams.replay.outcomes import NotAnOutcomeError
from streams.replay.plan import Filters
from streams.replay.run import BelowHorizonError
from streams.replay.session import Session
from streams.replay.telling import report_lines, report_page
from streams.replay.wish import PUBLISHING, OutcomesFrom, Report, SourceKind, TargetKind, Wish

_STRETCH = re.compile(r"(\d{1,9}):(\d{1,18})?-(\d{1,18})?")
OFFSET_MAX = 2**63 - 1
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,40}")


def replay(
    dry_run: bool = typer.Option(False, "--dry-run", help="Try it in memory, over the books as they stand."),
    into: str | None = typer.Option(None, "--into", help="Rebuild into a new schema of this name."),
    live: bool = typer.Option(False, "--live", help="Post to the live books what they lack; needs --yes."),
    file: str | None = typer.Option(None, "--file", help="Replay a file of JSON lines."),
    archive: bool = typer.Option(False, "--archive", help="Replay the archive instead of the topic."),
    archive_url: str | None = typer.Option(
        None, "--archive-url", metavar="URL", help="Where the archive is; LEDGER_ARCHIVE_URL if not given."
    ),
    dead_letters: bool = typer.Option(False, "--dead-letters", help="Replay dead letters that are open."),
    reason: DeadLetterReason | None = typer.Option(None, "--reason", help="Dead letters of this reason."),
    place: list[str] = typer.Option(
        [], "--place", help="A dead letter: TOPIC/PARTITION/OFFSET; may be repeated."
    ),
    partition: list[int] = typer.Option([], "--partition", help="Only this partition; may be repeated."),
    offsets: list[str] = typer.Option(
        [], "--offsets", help="PARTITION:FIRST-END, before END; may be repeated."
    ),
    since: str | None = typer.Option(
        None, "--since", help="Only what came then or later: a time, or 2h ago."
    ),
    until: str | None = typer.Option(None, "--until", help="Only what came before that time."),
    tenant: list[str] = typer.Option([], "--tenant", help="Only events of this tenant; may be repeated."),
    event_type: list[str] = typer.Option([], "--type", help="Only events of this type; may be repeated."),
    account: list[str] = typer.Option(
        [],
        "--account",
        help="Only events that name this account, and what follows on those; may be repeated.",
    ),
    event: list[str] = typer.Option([], "--event", help="Only the event with this id; may be repeated."),
    since_books: bool = typer.Option(
        False, "--since-books", help="With --live: what the workers have passed by and the books have lost."
    ),
    outcomes: str = typer.Option(
        "books", "--outcomes", help="With --into: where it stands what was decided: books, topic or archive."
    ),
    rate: float = typer.Option(
        0.0, "--rate", min=0, help="At most so many events a second are posted; 0: any."
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with a replay that was stopped: the newest such one."
    ),
    anew: bool = typer.Option(
        False, "--anew", help="With --live: begin though one was stopped, and publish what it left."
    ),
    why: str | None = typer.Option(None, "--why", help="Why the live books are replayed; asked for."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask whether the live books are meant."),
    report: Path | None = typer.Option(None, "--report", help="Write an HTML page to this file."),
    json_output: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Run history again: dry, into a schema of its own, or into the live books. Exit 1 if it comes out otherwise."""
    wish = Wish(
        target=_target(dry_run=dry_run, into=into, live=live),
        name=into,
        source=_source(file=file, archive=archive, letters=bool(dead_letters or place or reason)),
        archive=archive_url or Settings().archive_url,
        partitions=partition,
        offsets=dict(_stretch(each) for each in offsets),
        since=_moment(since),
        until=_moment(until),
        file=file,
        letters=LetterQuery(reason, _moment(since), _moment(until)),
        places=[_place(each) for each in place],
        filters=Filters(
            [check_tenant(each) for each in tenant],
            [check_type(each) for each in event_type],
            account,
            [check_event_id(each) for each in event],
        ),
        since_books=since_books,
        outcomes=_outcomes(outcomes),
        rate=rate,
        resume=resume,
        anew=anew,
        by=user_name(),
        why=why or "",
    )
    _check(wish)
    refuse_unwritable(report)
    if wish.target == "live":
        wish = _meant(wish, yes=yes)
    found = _run(wish, quiet=json_output)
    if json_output:
        print_json(found.as_dict())
    else:
        for line in report_lines(found):
            print(line, flush=True)
    page = report_page(found, made_by(wish.why))
    keep_report(Settings(), f"replay-{wish.target}", datetime.now(UTC), found.as_dict(), page)
    with told_faults():
        if report is not None:
            report.write_text(page, encoding="utf-8")
    if not found.ok:
        raise typer.Exit(FOUND_WRONG)


def _target(*, dry_run: bool, into: str | None, live: bool) -> TargetKind:
    given: dict[TargetKind, bool] = {"dry-run": dry_run, "into": into is not None, "live": live}
    targets = [name for name, is_given in given.items() if is_given]
    if len(targets) != 1:
        refuse("One of --dry-run, --into NAME and --live says where to.")
    return targets[0]


def _source(*, file: str | None, archive: bool, letters: bool) -> SourceKind:
    given: dict[SourceKind, bool] = {"file": file is not None, "archive": archive, "dead-letters": letters}
    sources = [name for name, is_given in given.items() if is_given]
    if len(sources) > 1:
        refuse("--file, --archive and dead letters are each a source of its own.")
    return sources[0] if sources else "topic"


def _outcomes(text: str) -> OutcomesFrom:
    known: dict[str, OutcomesFrom] = {"books": "books", "topic": "topic", "archive": "archive"}
    if text not in known:
        refuse("--outcomes is books, topic or archive.")
    return known[text]


def _stretch(text: str) -> tuple[int, tuple[int, int]]:
    found = _STRETCH.fullmatch(text)
    if found is None:
        refuse(f"{text!r} is no stretch of a partition: 0:100-200 is, and so are 0:100- and 0:-200.")
    first, end = int(found[2] or 0), int(found[3] or OFFSET_MAX)
    if first >= end:
        refuse(f"{text!r} has nothing in it: it ends before its second offset, and the first must be less.")
    return int(found[1]), (first, end)


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_moment(text, datetime.now(UTC))
    except MomentFormatError as error:
        refuse(str(error))


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except PlaceFormatError as error:
        refuse(str(error))


def _check(wish: Wish) -> None:
    """Refuse what contradicts itself."""
    check_interval(wish.since, wish.until, datetime.now(UTC))
    if wish.name is not None and not _SCHEMA.fullmatch(wish.name):
        refuse(f"{wish.name!r} can be no schema: small letters, digits and _ can, 41 of them at most.")
    if wish.archive is None and "archive" in (wish.source, wish.outcomes):
        refuse("--archive-url or LEDGER_ARCHIVE_URL says where the archive is.")
    if wish.file is not None and not Path(wish.file).is_file():
        refuse(f"No file {wish.file}.")
    cut = wish.partitions or wish.offsets
    if wish.source not in ("topic", "archive") and cut:
        refuse("--partition and --offsets are of the topic and of the archive.")
    if wish.source != "topic" and wish.since_books:
        refuse("--since-books is of the topic.")
    if wish.source == "file" and (wish.since or wish.until):
        refuse("--since and --until are of the topic and of dead letters.")
    if wish.since_books and (wish.target != "live" or cut or wish.since or wish.until or wish.filters.narrow):
        refuse("--since-books goes with --live, and says itself what is replayed.")
    if wish.outcomes != "books" and wish.target != "into":
        refuse("--outcomes goes with --into: other books know what they decided.")
    if wish.anew and (wish.target != "live" or wish.resume or wish.source not in PUBLISHING):
        refuse("--anew goes with --live, of the topic or of the archive, and not with --resume.")
    if wish.resume and (cut or wish.since or wish.until or wish.source == "dead-letters"):
        refuse(
            "How much --resume goes on with is written down: --partition, --offsets, --since and --until say nothing "
            "more of it, and a replay of dead letters is begun anew. What else is named must be as it was."
        )
    if wish.resume and wish.target == "dry-run":
        refuse("A dry run leaves nothing to go on with: begin it anew.")
    if wish.resume and wish.filters.accounts:
        refuse(
            "A replay with --account is not gone on with: begin it anew, a rebuild under another name, and one of "
            "the topic or of the archive into live books with --anew."
        )


def _meant(wish: Wish, *, yes: bool) -> Wish:
    """Ask whether the live books are meant, and why; what is gone on with has its why written down."""
    if wish.resume and not wish.why:
        return _confirmed(wish, yes=yes)
    why = (wish.why or asked("Why?", "--why TEXT says why the live books are replayed.")).strip()
    if not why:
        refuse("--why is empty.")
    return _confirmed(msgspec.structs.replace(wish, why=why), yes=yes)


def _confirmed(wish: Wish, *, yes: bool) -> Wish:
    if not yes:
        confirm("What the live books lack of this would be posted to them.")
    return wish


def _run(wish: Wish, *, quiet: bool) -> Report:
    collect_rarely()
    try:
        with told_faults(), asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_replay(wish, HowFar(quiet=quiet)))
    except asyncpg.InsufficientPrivilegeError as error:
        complain(f"{as_sentence(str(error))}: only the owner of the books may replay into them.")
        raise typer.Exit(USED_WRONGLY) from error
    except NoLongerAloneError as error:
        complain(str(error))
        raise typer.Exit(SERVICE_AWAY) from error
    except (NotReplayableError, BelowHorizonError, NotAnOutcomeError, ArchiveError) as error:
        complain(as_sentence(str(error)))
        raise typer.Exit(USED_WRONGLY if isinstance(error, NotReplayableError) else FOUND_WRONG) from error


async def _replay(wish: Wish, far: HowFar) -> Report:
    session = Session(Settings(), wish, far.note, complain)
    with far.shown():
        try:
            return await until_stopped(session.run())
        except StoppedError as stopped:
            complain(stopped_told(wish, far, session.phase, Settings().postgres_schema))
            stopped.exit()
