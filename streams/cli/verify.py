"""`ledger verify`: are the books right, and is nothing lost?"""

import asyncio
import sys

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from ledger.config import Settings
from ledger.domain.audit import Verdict
from streams.cli.running import FOUND_WRONG, print_json, told_faults
from streams.verifying import verify_books

_MEANING = {
    "zero_sum": "entries of each transaction, and each tenant, sum to zero",
    "one_outcome": "each event id has one outcome, and at most one transaction",
    "no_loss": "each record of the topic is an outcome or a dead letter, and no more",
    "balances": "each balance is the sum of its entries, and within its overdraft",
    "versions": "versions have no gaps, running totals and times fit",
    "holds": "each hold is captured + released + left, and held agrees",
}


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


def show_verdict(verdict: Verdict, console: Console) -> None:
    """Print the checks as a table, and what violates them."""
    table = Table(title="the books", title_justify="left")
    for heading in ("check", "verdict", "looked at", "meaning"):
        table.add_column(heading, justify="right" if heading == "looked at" else "left")
    for check in verdict.checks:
        state = "[green]holds[/]" if check.ok else f"[red]{len(check.violations)} violations[/]"
        table.add_row(check.name, state, f"{check.checked:,}", _MEANING.get(check.name, ""))
    console.print(table)
    for check in verdict.checks:
        for violation in check.violations:
            facts = ", ".join(f"{name} {value}" for name, value in violation.items() if name != "what")
            console.print(
                f"{check.name}: {violation.get('what', '')} ({facts})", markup=False, soft_wrap=True
            )
