"""`ledger compare`: which accounts stand otherwise in two books, and from which entry on."""

import asyncio
from pathlib import Path

import typer

from ledger.application.compare_books import Comparison, View
from ledger.config import Settings
from streams.cli.made_by import made_by
from streams.cli.report_file import refuse_unwritable
from streams.cli.running import FOUND_WRONG, print_json, refuse, told_faults
from streams.replay.schemas import NoSuchBooksError, refuse_absent
from streams.replay.side_by_side import compare_schemas
from streams.replay.telling import comparison_lines, comparison_page


def compare(
    left: str = typer.Argument(..., help="A schema of the database."),
    right: str = typer.Argument(..., help="Another."),
    view: View | None = typer.Option(
        None, "--from", help="Compare by balances, or by entries and open holds; both if not given."
    ),
    report: Path | None = typer.Option(None, "--report", help="Write an HTML page to this file."),
    json_output: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Compare the books in two schemas, and name each account that differs. Exit 1 if one does."""
    refuse_unwritable(report)
    with told_faults():
        try:
            found = asyncio.run(_compare(left, right, view))
        except NoSuchBooksError as error:
            refuse(str(error))
    facts = found.as_dict()
    if json_output:
        print_json(facts)
    else:
        for line in comparison_lines(facts, left, right):
            print(line)
        print(f"{found.left.overall.hex()}  {left}\n{found.right.overall.hex()}  {right}")
        print("The books are the same." if found.same else f"{found.count:,} accounts and assets differ.")
    with told_faults():
        if report is not None:
            report.write_text(comparison_page(facts, left, right, made_by()), encoding="utf-8")
    if not found.same:
        raise typer.Exit(FOUND_WRONG)


async def _compare(left: str, right: str, view: View | None) -> Comparison:
    """Compare by one view, or by balances and, where these are the same, by entries."""
    settings = Settings()
    await refuse_absent(settings, left, right)
    found = await compare_schemas(settings, left, right, view or View.BALANCES)
    if view is None and found.same:
        return await compare_schemas(settings, left, right, View.ENTRIES)
    return found
