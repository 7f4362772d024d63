"""`ledger verify`: are the books right, and is nothing lost?"""

import asyncio
import sys

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from ledger.config import Settings
from ledger.domain.audit import Verdict
from streams.cli.running import FOUND_WRONG, print_json, told_faults
from streams.verdicts import show_verdict
from streams.verifying import verify_books


def verify(json_output: bool = typer.Option(False, "--json", help="Print the verdict as JSON.")) -> None:
    """Check the books in SQL and against the topic itself. May run beside live traffic. Exit 1 on a violation."""
    with told_faults():
        verdict = asyncio.run(_verify(quiet=json_output))
    if json_output:
        print_json(verdict.as_dict())
    else:
        show_verdict(verdict, Console())
    if not verdict.ok:
        raise typer.Exit(FOUND_WRONG)


async def _verify(*, quiet: bool) -> Verdict:
    with Progress(
        console=Console(stderr=True), transient=True, disable=quiet or not sys.stderr.isatty()
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def note(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, total=total)

        verdict, _ = await verify_books(Settings(), note)
        return verdict
