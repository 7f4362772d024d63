"""`ledger export`: entries, balances, statements and trial balances to files."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from ledger.application.exports import ExportQuery, What
from ledger.config import Settings
from streams.cli.given import check_asset, check_interval
from streams.cli.moments import MomentFormatError, parse_moment
from streams.cli.running import FOUND_WRONG, complain, refuse, told_faults
from streams.doctor.finding import counted
from streams.export_formats import Format, ParquetAwayError
from streams.exporting import NotThereError, exports, written_whole
from streams.exporting import export as write

MOMENT_HELP = "2026-11-21T10:00:00Z, a date, or 90s, 15m, 2h, 7d ago."


def export(
    what: What = typer.Argument(..., help="What to write."),
    form: Format = typer.Option(Format.CSV, "--format", help="How to write it."),
    out: Path | None = typer.Option(None, "--out", help="A file; standard output if not given."),
    tenant: str | None = typer.Option(None, "--tenant", help="Of this tenant."),
    account: str | None = typer.Option(None, "--account", help="Of this account."),
    asset: str | None = typer.Option(None, "--asset", help="Of this asset."),
    since: str | None = typer.Option(
        None, "--from", metavar="TIME", help=f"Posted at or after: {MOMENT_HELP}"
    ),
    before: str | None = typer.Option(None, "--to", metavar="TIME", help="Posted before."),
    at: str | None = typer.Option(
        None, "--at", metavar="TIME", help="As it stood at this time, by posted_at."
    ),
) -> None:
    """Write entries, balances, a statement or a trial balance to a file, from one moment of the books.

    Amounts are integers of minor units. A statement is of one account, with its opening and closing balances.
    """
    if asset is not None:
        check_asset(asset)
    query = ExportQuery(what, tenant, account, asset, _moment(since), _moment(before), _moment(at))
    _check(query, form, out)
    try:
        with told_faults():
            count = asyncio.run(_write(query, form, out))
    except NotThereError as error:
        complain(str(error))
        raise typer.Exit(FOUND_WRONG) from error
    except ParquetAwayError as error:
        refuse(f"{error}.")
    complain(f"{counted(count, 'row')}.")


def _check(query: ExportQuery, form: Format, out: Path | None) -> None:
    is_of_time = query.what in (What.ENTRIES, What.STATEMENT)
    if is_of_time and query.at is not None:
        refuse(f"--at is for balances; {query.what} take --from and --to.")
    if not is_of_time and (query.since is not None or query.before is not None):
        refuse(f"--from and --to are for entries and statements; {query.what} takes --at.")
    now = datetime.now(UTC)
    check_interval(query.since, query.before, now, ("--from", "--to"))
    if query.at is not None and query.at > now:
        refuse("--at is in the future: how the books will stand then, nobody knows.")
    if query.what is What.STATEMENT and (query.tenant is None or query.account is None):
        refuse("A statement is of one account: --tenant and --account say which.")
    if query.what is What.TRIAL_BALANCE and query.account is not None:
        refuse("A trial balance is of all accounts.")
    if form is Format.PARQUET and out is None:
        refuse("Parquet is not for a terminal: --out FILE says where to.")


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_moment(text, datetime.now(UTC))
    except MomentFormatError as error:
        refuse(str(error))


async def _write(query: ExportQuery, form: Format, out: Path | None) -> int:
    bar = Progress(
        console=Console(stderr=True), transient=True, disable=out is None or not sys.stderr.isatty()
    )
    with bar, written_whole(out) as file:
        task = bar.add_task(f"{query.what}", total=None)
        async with exports(Settings()) as books:
            return await write(books, query, form, file, lambda done: bar.update(task, completed=done))
