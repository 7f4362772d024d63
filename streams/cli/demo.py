"""`ledger demo`: the whole system on a stream of payments, then the verdict."""

import asyncio
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ledger.config import Settings
from ledger.observability.tracing import TracesNotInstalledError
from streams.cli.running import FOUND_WRONG, SERVICE_AWAY, USED_WRONGLY, complain, print_json, told_faults
from streams.demo.bank_csv import TENANT as BANK_TENANT
from streams.demo.bank_csv import BankCsvError, BankHistory
from streams.demo.mix import TENANT as SHOP_TENANT
from streams.demo.mix import Mix
from streams.demo.paying import Paying
from streams.demo.report import as_dict, show
from streams.demo.run import Demo, Report, StalledError


def demo(
    events: int = typer.Option(20_000, "--events", min=100, max=100_000_000, help="How many events to send."),
    csv: Path | None = typer.Option(
        None, "--csv", help="Send real bank history instead (columns: docs/demo.md); each movement twice."
    ),
    seed: int = typer.Option(1, "--seed", help="The same seed gives the same stream."),
    workers: int = typer.Option(2, "--workers", min=1, max=16, help="Posting workers."),
    keep: bool = typer.Option(False, "--keep", help="Keep the data and logs of the run."),
    json_output: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Start a stack of its own, send payments, kill a worker on the way, and check the books. Exit 1 if wrong."""
    settings = Settings().model_copy(update={"kafka_bootstrap": None, "postgres_dsn": None})
    state_dir = settings.state_dir / f"demo-{os.getpid()}"
    try:
        with told_faults():
            report = _run(settings, state_dir, events, csv, seed, workers, quiet=json_output)
    finally:
        if keep:
            complain(f"kept in {state_dir}")
        else:
            shutil.rmtree(state_dir, ignore_errors=True)
    if json_output:
        print_json(as_dict(report))
    else:
        show(report, Console())
    if not report.ok:
        raise typer.Exit(FOUND_WRONG)


def _run(
    settings: Settings,
    state_dir: Path,
    events: int,
    csv: Path | None,
    seed: int,
    workers: int,
    *,
    quiet: bool,
) -> Report:
    with _progress(quiet) as bar:
        tasks: dict[str, TaskID] = {}

        def note(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, total=total)

        try:
            if csv is not None:
                history = BankHistory(csv, copies=2, clock=_now)
                demo = Demo(settings, state_dir, BANK_TENANT, workers=workers, note=note)
                return asyncio.run(demo.run(history, history.exact_balances()))
            paying = Paying(SHOP_TENANT)
            demo = Demo(settings, state_dir, SHOP_TENANT, workers=workers, note=note, paying=paying)
            return asyncio.run(demo.run(Mix(events, seed, _now)))
        except TracesNotInstalledError as error:
            complain(str(error))
            raise typer.Exit(USED_WRONGLY) from error
        except BankCsvError as error:
            complain(f"{error}.")
            raise typer.Exit(USED_WRONGLY) from error
        except StalledError as error:
            complain(f"{error}\nThe logs are in {state_dir / 'logs'} (with --keep).")
            raise typer.Exit(SERVICE_AWAY) from error


def _progress(quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description:28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
    )


def _now() -> datetime:
    return datetime.now(UTC)
