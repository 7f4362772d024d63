"""`ledger send`: JSON lines of events to Kafka."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import typer
from rich.console import Console
from rich.progress import Progress

from ledger.adapters.kafka.access import KafkaAccess
from ledger.config import Settings
from streams.cli.running import FOUND_WRONG, USED_WRONGLY, complain, print_json, told_faults
from streams.doctor.finding import counted
from streams.embedded.addresses import find_kafka
from streams.outcomes import Outcomes
from streams.sending import Line, read_lines
from streams.transport.errors import RecordTooLargeError
from streams.transport.publisher import BatchPublisher, Outgoing

BATCH_LINES = 2000
FAULTS_SHOWN_MAX = 20


def send(
    file: str = typer.Argument(..., help="A file of JSON lines, one event each; - for standard input."),
    fill: bool = typer.Option(False, "--fill", help="Supply specversion, id, source and time where missing."),
    skip_invalid: bool = typer.Option(False, "--skip-invalid", help="Send the rest where lines are wrong."),
    raw: bool = typer.Option(False, "--raw", help="Send lines as they are, unchecked, without a key."),
    wait: float = typer.Option(
        0.0, "--wait", min=0, help="Wait up to so many seconds and show the outcomes."
    ),
    json_output: bool = typer.Option(False, "--json", help="Print what was done as JSON."),
) -> None:
    """Send events to the topic of payments, under the keys that keep each account's order.

    A file is checked whole before anything is sent; standard input line by line. Exit 1 if a line was wrong, or an
    outcome did not come within --wait. That an event was refused is an outcome like others:
    --json has them in its summary.
    """
    settings = Settings()
    if file != "-" and not Path(file).is_file():
        complain(f"No file {file}.")
        raise typer.Exit(USED_WRONGLY)
    with told_faults():
        kafka = find_kafka(settings)

        def lines(source: BinaryIO) -> Iterator[Line]:
            return _raw(source) if raw else read_lines(source, fill=fill, bytes_max=settings.record_bytes_max)

        if file != "-" and not skip_invalid:
            with _opened(file) as source:
                _refuse_wrong_lines(file, lines(source))
        sender = Sender(settings, kafka, wait_s=wait, skip_invalid=skip_invalid, quiet=json_output)
        try:
            with _opened(file) as source:
                report = asyncio.run(sender.run(lines(source)))
        except LineTooLargeError as error:
            complain(str(error))
            raise typer.Exit(FOUND_WRONG) from error
    show_report(report, json_output)
    if report["refused_lines"] or report["unanswered"]:
        raise typer.Exit(FOUND_WRONG)


def _opened(file: str) -> BinaryIO:
    return sys.stdin.buffer if file == "-" else Path(file).open("rb")


def _raw(source: BinaryIO) -> Iterator[Line]:
    for number, text in enumerate(source, start=1):
        yield Line(number, None, None, text.rstrip(b"\r\n"))


def _refuse_wrong_lines(file: str, lines: Iterator[Line]) -> None:
    """Refuse a file with wrong lines before any of it is sent."""
    wrong = 0
    for line in lines:
        if line.fault is not None:
            wrong += 1
            if wrong <= FAULTS_SHOWN_MAX:
                complain(f"{file}:{line.number}: {line.fault}")
    if wrong:
        complain(f"{counted(wrong, 'wrong line')}: nothing was sent. --skip-invalid sends the rest.")
        raise typer.Exit(FOUND_WRONG)


class LineTooLargeError(Exception):
    """The topic takes no record as large as a line."""

    def __init__(self, numbers: list[int], topic: str, sent: int) -> None:
        which = f"line {numbers[0]}" if numbers else "a line"
        super().__init__(
            f"{which} is larger than the topic {topic} takes. {sent} lines were sent, and of the next "
            f"{BATCH_LINES} some may have been."
        )


class Sender:
    """Sends lines in batches, each acknowledged by every in-sync replica, and counts."""

    def __init__(
        self, settings: Settings, kafka: KafkaAccess | str, *, wait_s: float, skip_invalid: bool, quiet: bool
    ) -> None:
        self._settings = settings
        self._kafka = kafka
        self._wait_s = wait_s
        self._skip_invalid = skip_invalid
        self._progress = Progress(console=Console(stderr=True), disable=quiet or not sys.stderr.isatty())
        self._sent: list[str] = []
        self._count = 0
        self._refused: list[dict[str, object]] = []

    async def run(self, lines: Iterator[Line]) -> dict[str, object]:
        """Send everything; gives what `--json` prints."""
        publisher = BatchPublisher(self._kafka)
        await publisher.start()
        try:
            async with Outcomes.following(self._settings, self._kafka, on=self._wait_s > 0) as outcomes:
                with self._progress:
                    await self._send_all(publisher, lines)
                answers = await outcomes.of(set(self._sent), self._wait_s)
        finally:
            await publisher.stop()
        return {
            "sent": self._count,
            "refused_lines": self._refused,
            "outcomes": answers,
            "summary": summary_of(answers.values()),
            "unanswered": len(set(self._sent)) - len(answers) if self._wait_s else 0,
        }

    async def _send_all(self, publisher: BatchPublisher, lines: Iterator[Line]) -> None:
        task = self._progress.add_task("sending", total=None)
        batch: list[Line] = []
        for line in lines:
            if line.fault is not None:
                self._refused.append({"line": line.number, "fault": line.fault})
                if not self._skip_invalid:
                    break
                continue
            batch.append(line)
            if len(batch) == BATCH_LINES:
                await self._publish(publisher, batch)
                self._progress.advance(task, len(batch))
                batch = []
        await self._publish(publisher, batch)

    async def _publish(self, publisher: BatchPublisher, batch: list[Line]) -> None:
        topic = self._settings.payments_topic
        records = [Outgoing(topic, line.key, line.value, line.headers) for line in batch]
        try:
            await publisher.publish(records)
        except RecordTooLargeError as error:
            numbers = [line.number for line, each in zip(batch, records, strict=True) if each is error.record]
            raise LineTooLargeError(numbers, topic, self._count) from error
        self._count += len(batch)
        if self._wait_s:
            self._sent += [line.event_id for line in batch if line.event_id is not None]


def summary_of(outcomes: Iterable[Any]) -> dict[str, Any]:
    """Count outcomes by what they are, and those that were rejected by their reason."""
    kinds = {"posted": 0, "duplicate": 0, "rejected": 0}
    reasons: Counter[str] = Counter()
    for outcome in outcomes:
        kind = outcome["type"].split(".")[1]
        kinds[kind] += 1
        if kind == "rejected":
            reasons[outcome["data"]["reason"]] += 1
    return {**kinds, "reasons": dict(reasons)}


def _told(outcomes: Sequence[Any]) -> str:
    """Tell outcomes in a few words, or nothing where there are none."""
    summary = summary_of(outcomes)
    reasons = ", ".join(f"{count} {name}" for name, count in summary["reasons"].items())
    names = {"posted": "posted", "duplicate": "duplicate", "rejected": f"refused ({reasons})"}
    told = [f"{summary[kind]} {name}" for kind, name in names.items() if summary[kind]]
    return f": {', '.join(told)}" if told else ""


def show_report(report: dict[str, object], json_output: bool) -> None:
    """Show what a Sender did."""
    if json_output:
        print_json(report)
        return
    refused = report["refused_lines"]
    wrong: list[Any] = refused if isinstance(refused, list) else []
    for line in wrong:
        complain(f"line {line['line']}: {line['fault']}")
    outcomes = report["outcomes"]
    answers = list(outcomes.values()) if isinstance(outcomes, dict) else []
    left_out = f"; {counted(len(wrong), 'wrong line')} left out" if wrong else ""
    print(f"{report['sent']} sent{_told(answers)}{left_out}")
    for outcome in answers:
        print(orjson.dumps(outcome).decode())
    if report["unanswered"]:
        complain(f"{report['unanswered']} not answered in time; they are in Kafka and will be handled.")
