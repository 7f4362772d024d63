"""`ledger up`: Kafka, PostgreSQL and the workers on this machine."""

import asyncio
import json
from collections.abc import Sequence

import typer
from rich.console import Console

from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.cli.running import SERVICE_AWAY, complain
from streams.embedded.errors import EmbeddedError
from streams.embedded.progress import Progress
from streams.embedded.serve import detach as start_daemon
from streams.embedded.serve import running, serve
from streams.embedded.stack import EmbeddedStack, PartMaker, Preparation
from streams.embedded.state import StackRecord, StateDirectory
from streams.prepare import prepare

# What is done between the servers' start and the workers', and what starts after the workers.
PREPARATIONS: Sequence[Preparation] = (prepare,)
MAKERS: Sequence[PartMaker] = ()


def up(
    detach: bool = typer.Option(False, "--detach", help="Keep it running in the background."),
    json_output: bool = typer.Option(False, "--json", help="Print the addresses as JSON."),
    workers: int | None = typer.Option(
        None,
        min=0,
        max=64,
        help="Posting workers, LEDGER_WORKERS if not given; 0: only the servers, as they are.",
    ),
) -> None:
    """Start Kafka, PostgreSQL and the workers on this machine; a running stack is left as it is."""
    settings = Settings()
    state = StateDirectory(settings.state_dir)
    try:
        if record := running(state):
            announce(state, record, json_output)
        elif detach:
            announce(state, _detached(state, settings, workers), json_output)
        else:
            _foreground(state, settings, workers, json_output)
    except EmbeddedError as error:
        complain(str(error))
        raise typer.Exit(SERVICE_AWAY) from error


def _detached(state: StateDirectory, settings: Settings, workers: int | None) -> StackRecord:
    state.make()
    count = settings.workers if workers is None else workers
    return start_daemon(state, ("up", "--workers", str(count)), complain)


def _foreground(state: StateDirectory, settings: Settings, workers: int | None, json_output: bool) -> None:
    count = settings.workers if workers is None else workers
    progress = Progress(Console(stderr=True))
    stack = EmbeddedStack(
        state.path,
        settings=settings,
        workers=count,
        preparations=PREPARATIONS if count else (),
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
