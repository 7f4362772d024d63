"""Compose an export: the books' rows from one snapshot, written as they come."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.exports import PostgresExports
from ledger.application.exports import COLUMNS, ExportQuery, Exports
from ledger.config import Settings
from streams.embedded.addresses import find_postgres
from streams.export_formats import Format, writer_of


class NotThereError(Exception):
    """There is no such tenant or account."""


@asynccontextmanager
async def exports(settings: Settings) -> AsyncIterator[PostgresExports]:
    """One snapshot of the books that are set, or that `ledger up` started."""
    pool = await open_pool(find_postgres(settings), settings, size=1, name="ledger-export")
    try:
        async with PostgresExports.open(pool) as found:
            yield found
    finally:
        await pool.close()


async def export(
    books: Exports, query: ExportQuery, form: Format, file: BinaryIO, note: Callable[[int], None]
) -> int:
    """Write the rows that are meant; gives how many. Raises NotThereError and ParquetAwayError."""
    if not await books.is_there(query.tenant, query.account):
        tenant, account = query.tenant or "any tenant", query.account
        raise NotThereError(
            f"There is no account {account} of {tenant}." if account else f"There is no tenant {tenant}."
        )
    writer, count = writer_of(form, COLUMNS[query.what], file), 0
    async for rows in books.rows(query):
        writer.write(rows)
        count += len(rows)
        note(count)
    writer.finish()
    return count


@contextmanager
def written_whole(path: Path | None) -> Iterator[BinaryIO]:
    """Open a file that is there whole at the end, or not at all; None is standard output."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = path.with_name(f"{path.name}.part")
    try:
        opened = partial.open("wb")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
