"""`ledger status`: the processes of the stack of `ledger up`."""

from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from ledger.config import Settings
from streams.cli.running import FOUND_WRONG, SERVICE_AWAY, complain, print_json
from streams.embedded.errors import EmbeddedError
from streams.embedded.processes import created
from streams.embedded.state import ProcessRecord, StateDirectory


def status(json_output: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Show each process of the stack: whether it is ready, and how often it was started again."""
    state = StateDirectory(Settings().state_dir)
    try:
        supervised = state.supervisor() is not None
    except EmbeddedError as error:
        complain(str(error))
        raise typer.Exit(SERVICE_AWAY) from error
    processes = [as_seen(record) for record in state.read().processes] if supervised else []
    if json_output:
        print_json({"processes": processes})
    else:
        _print_table(processes)
    if not supervised:
        complain(f"No stack runs in {state}. Start one with `ledger up`.")
        raise typer.Exit(SERVICE_AWAY)
    if not all(process["ready"] for process in processes):
        raise typer.Exit(FOUND_WRONG)


def as_seen(record: ProcessRecord) -> dict[str, Any]:
    """The record, corrected when its process has died since it was written."""
    alive = record.pid is not None and created(record.pid) == record.created
    return {
        "name": record.name,
        "pid": record.pid if alive else None,
        "ready": record.ready and alive,
        "restarts": record.restarts,
        "url": record.url,
    }


def _print_table(processes: list[dict[str, Any]]) -> None:
    if not processes:
        return
    table = Table("name", "pid", "ready", "restarts", "url")
    for process in processes:
        pid = "–" if process["pid"] is None else str(process["pid"])
        ready = "yes" if process["ready"] else "no"
        table.add_row(process["name"], pid, ready, str(process["restarts"]), process["url"] or "")
    Console().print(table)
