"""`ledger archive`: topics kept beyond Kafka's retention, in segments that prove that they are whole."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from ledger.adapters.objects.store import StoredObjects, open_objects
from ledger.application.archive_ports import ArchiveError
from ledger.application.archive_topic import SEGMENT_S, ArchiveTopic
from ledger.application.archive_topic import Progress as Note
from ledger.application.verify_archive import (
    ArchiveFault,
    ArchiveVerdict,
    PartitionSummary,
    VerifyArchive,
    Witness,
    list_archive,
    topics_of,
)
from ledger.config import Settings
from ledger.observability.logs import SignalLog, configure_logs
from ledger.observability.signals import Facts, Signals
from streams.archiving import archiving, follow
from streams.cli.commands import HELP
from streams.cli.running import FOUND_WRONG, complain, print_json, refuse, told_faults
from streams.doctor.finding import counted

archive = typer.Typer(help=HELP["archive"], no_args_is_help=True)

Answer = TypeVar("Answer")

_ARCHIVE = typer.Option(
    None,
    "--archive",
    metavar="URL",
    help="A directory, s3://bucket/prefix, gs://… or az://…; LEDGER_ARCHIVE_URL if not given.",
)
_TOPICS = typer.Option(None, "--topic", help="This topic; may be repeated.")
_JSON = typer.Option(False, "--json", help="Print JSON.")


@archive.command("run")
def run(
    url: str | None = _ARCHIVE,
    topics: list[str] | None = _TOPICS,
    outcomes: bool = typer.Option(False, "--outcomes", help="The topic of outcomes as well."),
    once: bool = typer.Option(False, "--once", help="Up to where the topics end now, then stop."),
    segment_mib: int = typer.Option(32, "--segment-mib", min=1, max=1024, help="Size of a segment."),
    segment_s: float = typer.Option(SEGMENT_S, "--segment-s", min=0.1, help="Write a segment after so long."),
    json_output: bool = _JSON,
) -> None:
    """Write the topic of payments into the archive, until SIGTERM or, with --once, up to its end."""
    settings = Settings()
    named = list(dict.fromkeys(topics or [settings.payments_topic]))
    named += [settings.outcomes_topic] if outcomes and settings.outcomes_topic not in named else []
    objects = _opened(settings, url, make=True)
    if not once:
        configure_logs(settings.log_level)
    signals = Signals(_tell_expired if once else SignalLog())
    with _Bars(quiet=json_output or not once) as bars:
        written = _run(
            _archive(
                settings,
                objects,
                named,
                signals,
                once=once,
                segment_bytes=segment_mib * 1024**2,
                segment_s=segment_s,
                note=bars.note,
            )
        )
    if json_output:
        print_json({"topics": named, "written": written})
    else:
        complain(f"{counted(written['records'], 'record')} in {counted(written['segments'], 'new segment')}.")


async def _archive(
    settings: Settings,
    objects: StoredObjects,
    topics: Sequence[str],
    signals: Signals,
    *,
    once: bool,
    segment_bytes: int,
    segment_s: float,
    note: Note,
) -> dict[str, int]:
    limits: dict[str, Any] = {"segment_bytes": segment_bytes, "segment_s": segment_s, "progress": note}
    async with archiving(settings, objects, topics, signals, **limits) as archives:
        if once:
            for each in archives:
                await each.catch_up(close=True)
        else:
            await follow(archives, signals, _stopping())
        return _written(archives)


def _stopping() -> asyncio.Event:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


def _written(archives: Sequence[ArchiveTopic]) -> dict[str, int]:
    return {
        name: sum(getattr(each.written, name) for each in archives)
        for name in ("segments", "records", "bytes", "expired")
    }


def _tell_expired(name: str, facts: Facts) -> None:
    if name == "archive.records_expired":
        complain(
            f"{facts['topic']}/{facts['partition']}: Kafka deleted {facts['lost']} offsets from {facts['first']} on "
            "before they were archived."
        )


@archive.command("verify")
def verify(
    url: str | None = _ARCHIVE,
    topics: list[str] | None = _TOPICS,
    witness: Path | None = typer.Option(
        None,
        "--witness",
        help="What `ledger archive list --json` said earlier: all of it must still be there.",
    ),
    json_output: bool = _JSON,
) -> None:
    """Read every byte of the archive, and say where one is changed, missing or out of order. Exit 1 then."""
    settings = Settings()
    objects = _opened(settings, url)
    witnesses = _read_witnesses(witness) if witness is not None else []
    named = list(dict.fromkeys(topics or ()))
    with _Bars(quiet=json_output) as bars:
        verdict = _run(_verify(objects, named, settings.payments_topic, witnesses, bars.note))
    if json_output:
        print_json(
            {
                "ok": verdict.ok,
                "partitions": msgspec.to_builtins(verdict.partitions),
                "violations": msgspec.to_builtins(verdict.faults),
            }
        )
    else:
        if verdict.partitions:
            _print_partitions(verdict.partitions)
        for fault in verdict.faults:
            complain(_told(fault, url or settings.archive_url))
        print("The archive is whole." if verdict.ok else f"{counted(len(verdict.faults), 'fault')}.")
    if not verdict.ok:
        raise typer.Exit(FOUND_WRONG)


async def _verify(
    objects: StoredObjects, topics: list[str], expected: str, witnesses: list[Witness], note: Note
) -> ArchiveVerdict:
    """Verify the topics that are named, or all; where there is none at all, say so of the one expected."""
    seen = [each.topic for each in witnesses]
    named = topics or sorted({*await topics_of(objects), *seen}) or [expected]
    return await VerifyArchive(objects, note, witnesses)(named)


def _read_witnesses(path: Path) -> list[Witness]:
    with told_faults():
        text = path.read_bytes()
    try:
        return msgspec.json.decode(text, type=_Listed).partitions
    except msgspec.DecodeError as error:
        refuse(f"{path} is not what `ledger archive list --json` prints: {error}.")


class _Listed(msgspec.Struct):
    partitions: list[Witness]


def _told(fault: ArchiveFault, url: str | None) -> str:
    if fault.partition is None:
        return f"There is no archive of {fault.topic} in {url}."
    where = [] if fault.block is None else [f"block {fault.block}"]
    where += [
        f"{what} {stretch[0]} to {stretch[1] - 1}"
        for what, stretch in (("bytes", fault.bytes), ("offsets", fault.offsets))
        if stretch is not None
    ]
    return f"{fault.object}: {fault.what}" + (f" ({', '.join(where)})" if where else "")


@archive.command("list")
def list_partitions(
    url: str | None = _ARCHIVE, topics: list[str] | None = _TOPICS, json_output: bool = _JSON
) -> None:
    """List what is archived of each partition; with --json, what `verify --witness` takes."""
    objects = _opened(Settings(), url)
    partitions = _run(_list(objects, topics))
    if json_output:
        print_json({"partitions": msgspec.to_builtins(partitions)})
    elif partitions:
        _print_partitions(partitions)
    else:
        print("Nothing is archived there.")


async def _list(objects: StoredObjects, topics: list[str] | None) -> list[PartitionSummary]:
    return await list_archive(objects, topics or await topics_of(objects))


def _print_partitions(partitions: Sequence[PartitionSummary]) -> None:
    table = Table("partition", "offsets", "segments", "records", "bytes", "expired", "head")
    for each in partitions:
        table.add_row(
            f"{each.topic}/{each.partition}",
            f"{each.first_offset} to {each.next_offset - 1}",
            *(f"{number:,}" for number in (each.segments, each.records, each.bytes, each.expired)),
            each.head[:16],
        )
    Console().print(table)
    for each in partitions:
        if each.unlisted:
            complain(
                f"{each.topic}/{each.partition}: the manifest does not list the newest segment. `ledger archive run` "
                "lists it; if none runs or was broken off, somebody changed the manifest."
            )


def _opened(settings: Settings, url: str | None, *, make: bool = False) -> StoredObjects:
    named = url or settings.archive_url
    if named is None:
        refuse("Where is the archive? --archive URL says it, or LEDGER_ARCHIVE_URL.")
    with told_faults():
        return open_objects(named, make=make)


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        with told_faults():
            return asyncio.run(work)
    except ArchiveError as error:
        complain(f"{error}.")
        raise typer.Exit(FOUND_WRONG) from error


class _Bars:
    """Progress on a terminal: a bar for each partition."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(console=console, transient=True, disable=quiet or not sys.stderr.isatty())
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def note(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)
