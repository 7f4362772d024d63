"""`ledger import`: rows of a CSV to Kafka, each as an event that is the same whenever the row is imported."""

import asyncio
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import typer

from ledger.config import Settings
from streams.cli.running import FOUND_WRONG, complain, print_json, refuse, told_faults
from streams.cli.send import FAULTS_SHOWN_MAX, LineTooLargeError, Sender, show_report
from streams.doctor.finding import counted
from streams.embedded.addresses import find_kafka
from streams.importing.mapping import Mapping, MappingError, read_mapping
from streams.importing.rows import Limits, UnreadableCsvError, read_rows
from streams.sending import Line

SAMPLES = 3


def import_(
    file: Path = typer.Argument(..., help="A CSV file; .gz is read as well."),
    mapping: Path | None = typer.Option(
        None, "--mapping", help="A TOML file that says what the columns are."
    ),
    source: str | None = typer.Option(None, "--source", help="Where the lines come from; part of each id."),
    tenant: str | None = typer.Option(None, "--tenant", help="Whose accounts they are."),
    event_type: str | None = typer.Option(
        None, "--type", help="Of the events; transfer.post.v1 if not given."
    ),
    at: str | None = typer.Option(None, "--at", metavar="TIME", help="The time of all events."),
    columns: list[str] | None = typer.Option(
        None, "--column", metavar="MEMBER=COLUMN", help="Take a member of data from a column."
    ),
    values: list[str] | None = typer.Option(
        None, "--value", metavar="MEMBER=TEXT", help="Give it to every line; {COLUMN} in it is filled in."
    ),
    ids: list[str] | None = typer.Option(None, "--id", metavar="COLUMN", help="What tells lines apart."),
    decimals: int | None = typer.Option(None, "--decimals", min=0, max=99, help="Of the amount's column."),
    delimiter: str | None = typer.Option(None, "--delimiter", help="Between cells; a comma if not given."),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Check every line, show a few events, send nothing."
    ),
    skip_invalid: bool = typer.Option(False, "--skip-invalid", help="Send the rest where lines are wrong."),
    wait: float = typer.Option(
        0.0, "--wait", min=0, help="Wait up to so many seconds and show the outcomes."
    ),
    json_output: bool = typer.Option(False, "--json", help="Print what was done as JSON."),
) -> None:
    """Send the rows of a CSV as events. The same row is the same event: importing it again changes nothing.

    The file is checked whole before anything is sent. Exit 1 if a line was wrong, or an outcome did not come
    within --wait. That an event was refused is an outcome like others: --json has them in its summary.
    """
    settings = Settings()
    given = {"source": source, "tenant": tenant, "type": event_type, "at": at, "id": ids or None}
    read = _mapping(mapping, given, columns or [], values or [], decimals, delimiter)
    limits = Limits(
        datetime.now(UTC),
        timedelta(days=settings.dedupe_horizon_days),
        timedelta(seconds=settings.future_tolerance_s),
        settings.record_bytes_max,
    )
    with told_faults():
        try:
            if dry_run:
                _dry_run(read_rows(file, read, limits), file, json_output)
                return
            kafka = find_kafka(settings)
            if not skip_invalid:
                _refuse_wrong(read_rows(file, read, limits), file)
            sender = Sender(settings, kafka, wait_s=wait, skip_invalid=skip_invalid, quiet=json_output)
            report = asyncio.run(sender.run(read_rows(file, read, limits)))
        except (UnreadableCsvError, MappingError) as error:
            refuse(f"{file}: {error}.")
        except LineTooLargeError as error:
            complain(str(error))
            raise typer.Exit(FOUND_WRONG) from error
    show_report(report, json_output)
    if report["refused_lines"] or report["unanswered"]:
        raise typer.Exit(FOUND_WRONG)


def _mapping(
    path: Path | None,
    given: dict[str, Any],
    columns: list[str],
    values: list[str],
    decimals: int | None,
    delimiter: str | None,
) -> Mapping:
    """Read the mapping; what options say stands over what its file says."""
    members: dict[str, Any] = {"type": "transfer.post.v1", "data": {}} if path is None else _read_toml(path)
    members |= {name: value for name, value in given.items() if value is not None}
    data = dict(members.get("data", {}))
    data |= {member: {"column": column} for member, column in map(_parted, columns)}
    data |= dict(map(_parted, values))
    if decimals is not None or (isinstance(data.get("amount"), dict) and path is None):
        column = data.get("amount")
        if not isinstance(column, dict):
            refuse("--decimals goes with --column amount=COLUMN.")
        data["amount"] = {**column, "decimals": decimals or 0}
    if delimiter is not None:
        members["csv"] = {**members.get("csv", {}), "delimiter": delimiter}
    missing = [f"--{name}" for name in ("source", "tenant") if name not in members]
    if missing and path is None:
        refuse(f"{' and '.join(missing)} must be given, or a file with --mapping.")
    try:
        return read_mapping({**members, "data": data})
    except MappingError as error:
        refuse(f"{path if path is not None else 'The mapping'}: {error}.")


def _read_toml(path: Path) -> dict[str, Any]:
    with told_faults():
        text = path.read_bytes()
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        refuse(f"{path} is no TOML: {error}.")


def _parted(text: str) -> tuple[str, str]:
    member, equals, rest = text.partition("=")
    if not (member and equals and rest):
        refuse(f"{text!r} is not MEMBER=…")
    return member, rest


def _refuse_wrong(lines: Iterator[Line], file: Path) -> None:
    wrong = _tell_wrong(lines, file)
    if wrong:
        complain(f"{counted(wrong, 'wrong line')}: nothing was sent. --skip-invalid sends the rest.")
        raise typer.Exit(FOUND_WRONG)


def _tell_wrong(lines: Iterator[Line], file: Path) -> int:
    wrong = 0
    for line in lines:
        if line.fault is not None:
            wrong += 1
            if wrong <= FAULTS_SHOWN_MAX:
                complain(f"{file}:{line.number}: {line.fault}")
    return wrong


def _dry_run(lines: Iterator[Line], file: Path, json_output: bool) -> None:
    """Tell what would be sent."""
    types: Counter[str] = Counter()
    samples: list[Any] = []
    faults: list[dict[str, Any]] = []
    wrong = 0
    for line in lines:
        if line.fault is not None:
            wrong += 1
            if wrong <= FAULTS_SHOWN_MAX:
                faults.append({"line": line.number, "fault": line.fault})
            continue
        event = orjson.loads(line.value)
        types[event["type"]] += 1
        if len(samples) < SAMPLES:
            samples.append({"line": line.number, "key": (line.key or b"").decode(), "event": event})
    if json_output:
        print_json({"events": dict(types), "wrong": wrong, "refused_lines": faults, "samples": samples})
    else:
        for fault in faults:
            complain(f"{file}:{fault['line']}: {fault['fault']}")
        for sample in samples:
            print(orjson.dumps(sample["event"]).decode())
        told = ", ".join(f"{count} {name}" for name, count in types.items())
        print(f"{told or 'nothing'} would be sent; {counted(wrong, 'wrong line')}. Nothing was sent.")
    if wrong:
        raise typer.Exit(FOUND_WRONG)
