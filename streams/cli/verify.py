"""`ledger verify`: are the books right, and is nothing lost?"""

import asyncio
import sys
from collections.abc import Sequence
from time import monotonic

import asyncpg
import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from ledger.adapters.system import SystemClock
from ledger.application.faults import TransientFaultError
from ledger.application.provider_books import BookLineError, ProviderBook
from ledger.application.reports import verification_of
from ledger.config import Settings
from ledger.domain.audit import Verdict
from streams.cli.provider_names import parse_provider
from streams.cli.running import FOUND_WRONG, complain, print_json, refuse, told_faults
from streams.provider_books import given_books
from streams.verdicts import show_verdict
from streams.verifying import keep_verdict, verify_books


def verify(
    provider_book: list[str] = typer.Option(
        [],
        "--provider-book",
        metavar="TENANT/NAME=FILE_OR_URL",
        help="Compare payments with the book of this provider: JSON lines. May be repeated.",
    ),
    json_output: bool = typer.Option(False, "--json", help="Print the verdict as JSON."),
) -> None:
    """Check the books in SQL and against the topic itself. May run beside live traffic. Exit 1 on a violation."""
    books = given_books([_named(each) for each in provider_book])
    try:
        with told_faults():
            verdict = asyncio.run(_verify(books, quiet=json_output))
    except BookLineError as fault:
        refuse(f"{fault}.")
    if json_output:
        print_json(verdict.as_dict())
    else:
        show_verdict(verdict, Console())
    if not verdict.ok:
        raise typer.Exit(FOUND_WRONG)


def _named(text: str) -> tuple[tuple[str, str], str]:
    name, _, source = text.partition("=")
    if not source:
        refuse(f"--provider-book takes TENANT/NAME=FILE_OR_URL, not {text!r}.")
    return parse_provider(name), source


async def _verify(books: Sequence[ProviderBook], *, quiet: bool) -> Verdict:
    with Progress(
        console=Console(stderr=True), transient=True, disable=quiet or not sys.stderr.isatty()
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def note(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, total=total)

        settings, begun = Settings(), monotonic()
        verdict, _ = await verify_books(settings, note, books)
    kept = verification_of(verdict, SystemClock().now(), monotonic() - begun, settings.payments_topic)
    try:
        await keep_verdict(settings, kept)
    except (OSError, TransientFaultError, asyncpg.PostgresError) as error:
        complain(f"The verdict could not be kept for the console: {error}.")
    return verdict
