"""Batches that are made while those before them are looked at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, TypeVar

Batch = TypeVar("Batch")


async def ahead(batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
    """Give each batch, and ask for the next before: who makes them works beside who takes them."""
    coming = asyncio.ensure_future(anext(batches, None))
    try:
        while (batch := await coming) is not None:
            coming = asyncio.ensure_future(anext(batches, None))
            await asyncio.sleep(0)  # so that it has been asked for when the taker begins
            yield batch
    finally:
        coming.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await coming


async def pages(connection: Any, query: str, *arguments: object, rows: int) -> AsyncIterator[list[Any]]:
    """Give what a query finds, some rows at a time; in a transaction."""
    cursor = await connection.cursor(query, *arguments)
    while found := await cursor.fetch(rows):
        yield found
