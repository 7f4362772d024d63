"""`ledger up`: Kafka, PostgreSQL and the workers on this machine."""

import asyncio
import json
from collections.abc import Sequence

import typer
from rich.console import Console

from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.embedded.errors import EmbeddedError
from streams.embedded.progress import Progress
from streams.embedded.serve import detach as start_daemon
from streams.embedded.serve import running, serve
from streams.embedded.stack import EmbeddedStack, PartMaker, Preparation
from streams.embedded.state import StackRecord, StateDirectory
from streams.prepare import prepare

SERVICE_AWAY = 3

# What is done between the servers' start and the workers', and what starts after the workers.
PREPARATIONS: Sequence[Preparation] = (prepare,)
MAKERS: Sequence[PartMaker] = ()


def up(
    detach: bool = typer.Option(False, "--detach", help="Keep it running in the background."),
    json_output: bool = typer.Option(False, "--json", help="Print the addresses as JSON."),
    workers: int | None = typer.Option(
        None, min=0, max=64, help="Posting workers; LEDGER_WORKERS if not given."
    ),
) -> None:
    """Start Kafka, PostgreSQL and the workers on this machine; a running stack is left as it is."""
    settings = Settings()
    state = StateDirectory(settings.state_dir)
    console = Console(stderr=True)
    try:
        if record := running(state):
            announce(state, record, json_output)
        elif detach:
            announce(state, _detached(state, settings, workers, console), json_output)
        else:
            _foreground(state, settings, workers, console, json_output)
    except EmbeddedError as error:
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(SERVICE_AWAY) from error


def _detached(
    state: StateDirectory, settings: Settings, workers: int | None, console: Console
) -> StackRecord:
    state.make()
    count = settings.workers if workers is None else workers

    def report(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    return start_daemon(state, ("up", "--workers", str(count)), report)


def _foreground(
    state: StateDirectory, settings: Settings, workers: int | None, console: Console, json_output: bool
) -> None:
    progress = Progress(console)
    stack = EmbeddedStack(
        state.path,
        settings=settings,
        workers=settings.workers if workers is None else workers,
        preparations=PREPARATIONS,
        makers=MAKERS,
        signals=Signals(progress),
    )
    try:
        asyncio.run(serve(stack, lambda record: announce(state, record, json_output)))
    finally:
        progress.finish()


def announce(state: StateDirectory, record: StackRecord, json_output: bool) -> None:
    """Print where everything is."""
    found = addresses(state, record)
    if json_output:
        print(json.dumps(found), flush=True)
        return
    for name, address in found.items():
        if address is not None:
            print(f"{name:10} {address}", flush=True)


def addresses(state: StateDirectory, record: StackRecord) -> dict[str, str | None]:
    """The addresses and keys of the running stack; null where there is none."""
    return {
        "kafka": record.kafka,
        "postgres": record.postgres,
        "api": None,
        "api_key": None,
        "admin_key": None,
        "provider": None,
        "state_dir": str(state),
    }
