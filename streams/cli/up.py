"""`ledger up`: Kafka, PostgreSQL, the workers, the API and a simulated provider on this machine."""

import asyncio
import json
from collections.abc import Sequence

import typer
from rich.console import Console

from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.cli.running import SERVICE_AWAY, complain
from streams.development_keys import development_keys, make_development_keys
from streams.embedded.errors import EmbeddedError
from streams.embedded.programs import (
    PROVIDER,
    Program,
    api,
    chain_workers,
    payments_workers,
    posting_workers,
    provider,
    windows_workers,
)
from streams.embedded.progress import Progress
from streams.embedded.serve import detach as start_daemon
from streams.embedded.serve import running, serve
from streams.embedded.stack import EmbeddedStack, Preparation
from streams.embedded.state import StackRecord, StateDirectory
from streams.prepare import prepare
from streams.simulated import make_development_provider

LEFT_AS_IT_IS = (
    "The stack runs already and is left as it is, --workers too. "
    "To change it: `ledger down`, then `ledger up` again."
)

# What is done between the start of the servers and that of our programs.
PREPARATIONS: Sequence[Preparation] = (prepare, make_development_keys, make_development_provider)


def up(
    detach: bool = typer.Option(False, "--detach", help="Keep it running in the background."),
    json_output: bool = typer.Option(False, "--json", help="Print the addresses as JSON."),
    workers: int | None = typer.Option(
        None,
        min=0,
        max=64,
        help="Posting workers, LEDGER_WORKERS if not given; 0: only the servers, as they are, and no API.",
    ),
) -> None:
    """Start Kafka, PostgreSQL, the workers, the API and a provider here; a running stack is left as it is."""
    settings = Settings()
    state = StateDirectory(settings.state_dir)
    try:
        if record := running(state):
            announce(state, record, json_output)
            if workers is not None:
                complain(LEFT_AS_IT_IS)
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
        preparations=PREPARATIONS if count else (),
        programs=programs_of(settings, count),
        signals=Signals(progress),
    )
    try:
        asyncio.run(serve(stack, lambda record: announce(state, record, json_output)))
    finally:
        progress.finish()


def programs_of(settings: Settings, workers: int) -> Sequence[Program]:
    """Give what stands on the servers: nothing without posting workers."""
    if not workers:
        return ()
    return [
        *posting_workers(workers),
        *payments_workers(settings.payments_workers),
        *windows_workers(settings.windows_workers),
        *chain_workers(settings.chain_workers),
        provider,
        api,
    ]


def announce(state: StateDirectory, record: StackRecord, json_output: bool) -> None:
    """Print where everything is."""
    found = addresses(state, record)
    if json_output:
        print(json.dumps(found), flush=True)
        return
    for name, address in found.items():
        if address is not None:
            print(f"{name:10} {address}", flush=True)
        if name == "api" and address is not None and Settings().console:
            print(f"{'console':10} {address}/console", flush=True)


def addresses(state: StateDirectory, record: StackRecord) -> dict[str, str | None]:
    """The addresses of the running stack, and the development keys with their tenant; null where there is none."""
    url = record.url("api")
    keys = development_keys(state) if url else None
    return {
        "kafka": record.kafka,
        "postgres": record.postgres,
        "api": url,
        "api_key": keys.api_key if keys else None,
        "admin_key": keys.admin_key if keys else None,
        "tenant": keys.tenant if keys else None,
        "provider": record.url(PROVIDER),
        "state_dir": str(state),
    }
