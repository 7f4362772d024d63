"""`ledger digest`: one number for all that the books say of every account."""

import asyncio

import typer

from ledger.application.compare_books import View
from ledger.config import Settings
from ledger.domain.digest import BooksDigest
from streams.cli.running import print_json, refuse, told_faults
from streams.replay.schemas import NoSuchBooksError, refuse_absent
from streams.replay.side_by_side import digest_schema


def digest(
    schema: str | None = typer.Argument(
        None, help="The schema of the books; LEDGER_POSTGRES_SCHEMA if not given."
    ),
    view: View = typer.Option(
        View.BALANCES, "--from", help="What it is worked out from: balances, or entries and open holds."
    ),
    json_output: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Print the digest of the books and of each tenant: equal where every account stands equal."""
    settings = Settings()
    with told_faults():
        try:
            found = asyncio.run(_digest(settings, schema or settings.postgres_schema, view))
        except NoSuchBooksError as error:
            refuse(str(error))
    if json_output:
        print_json(found.as_dict())
        return
    for tenant, each in found.tenants.items():
        print(f"{each.hex()}  {tenant}")
    print(f"{found.overall.hex()}  all, {found.standings:,} accounts and assets")


async def _digest(settings: Settings, schema: str, view: View) -> BooksDigest:
    await refuse_absent(settings, schema)
    return await digest_schema(settings, schema, view)
