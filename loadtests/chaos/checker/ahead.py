"""Batches that are made while those before them are looked at."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any, TypeVar

Batch = TypeVar("Batch")


async def ahead(batches: AsyncIterator[Batch]) -> AsyncGenerator[Batch, None]:
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


async def rows_ahead(
    connection: Any, query: str, *arguments: object, at_once: int
) -> AsyncGenerator[Any, None]:
    """Give the rows that a query finds, of which so many are asked for ahead; in a transaction."""
    async with aclosing(ahead(_pages(connection, query, *arguments, at_once=at_once))) as pages:
        async for rows in pages:
            for row in rows:
                yield row


async def _pages(connection: Any, query: str, *arguments: object, at_once: int) -> AsyncIterator[list[Any]]:
    cursor = await connection.cursor(query, *arguments)
    while rows := await cursor.fetch(at_once):
        yield rows
