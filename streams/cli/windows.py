"""`ledger windows`: what the stream keeps for readers, made anew from the books."""

import asyncio
import sys

import typer
from rich.console import Console
from rich.progress import Progress

from ledger.application.gaps import GroupBusyError
from ledger.config import Settings
from streams.cli.asking import confirm
from streams.cli.commands import HELP
from streams.cli.running import FOUND_WRONG, as_sentence, complain, print_json, told_faults
from streams.rebuilding import Rebuilt, rebuild_windows

windows = typer.Typer(help=HELP["windows"], no_args_is_help=True)


@windows.callback()
def _group() -> None:
    """Keep this a group, though it has one command."""


@windows.command("rebuild")
def rebuild(
    yes: bool = typer.Option(False, "--yes", help="Do not ask whether it is meant."),
    json_output: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Delete the changelog of windows and make it anew from the books. Stop the windows workers first."""
    if not yes:
        confirm("The changelog of windows would be deleted and made anew from the books.")
    try:
        with told_faults():
            done = asyncio.run(_rebuild(Settings(), quiet=json_output))
    except GroupBusyError as error:
        complain(
            f"{as_sentence(str(error))}\nStop the windows workers, then repeat it. "
            "One that was killed is a member for LEDGER_SESSION_TIMEOUT_S more."
        )
        raise typer.Exit(FOUND_WRONG) from error
    if json_output:
        print_json(
            {
                "balances": done.balances,
                "windows": {size.value: count for size, count in done.windows.items()},
                "positions": {str(partition): offset for partition, offset in done.positions.items()},
            }
        )
    else:
        counts = ", ".join(f"{count:,} of {size.value}" for size, count in done.windows.items())
        print(f"Made anew: {done.balances:,} balances; windows: {counts}.")


async def _rebuild(settings: Settings, *, quiet: bool) -> Rebuilt:
    with Progress(
        console=Console(stderr=True), transient=True, disable=quiet or not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("balances", total=None)
        return await rebuild_windows(
            settings, lambda done, total: bar.update(task, completed=done, total=total)
        )
