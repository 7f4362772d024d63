"""The audit chain of a running ledger: what a superuser does to the books is found, at the place."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest

from ledger.adapters.system import new_event_id
from tests.end_to_end.books import WAIT_S, Books, event, transfer

CHAIN = ("worker", "chain-transactions")
IDS = [new_event_id() for _ in range(12)]


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    """Books with twelve transactions in their chain, and no worker any more."""
    async with Books.open(kafka, postgres_dsn, "chained", tmp_path_factory.mktemp("chained")) as books:
        events = [transfer("external:bank", "ann", 1000 + number, each) for number, each in enumerate(IDS)]
        async with books.worker() as poster:
            await books.send(events[:6], keys=[b"one"] * 6)
            await books.until_handled(6)
            async with books.worker(arguments=CHAIN) as chainer:
                await until_linked(books, 6)
                more = [*events[6:], event("account.close.v1", {"account": "nobody"})]
                await books.send(more, keys=[b"one"] * len(more))
                await until_linked(books, 12)
                await until_complete(books)
                assert await chainer.end() == 0, chainer.log
            assert await poster.end() == 0, poster.log
        yield books


async def until_linked(books: Books, count: int) -> None:
    deadline = monotonic() + WAIT_S
    while (found := (await books.sql("select count(*) from chain_links"))[0][0]) < count:
        assert monotonic() < deadline, f"{found} of {count} transactions are linked"
        await asyncio.sleep(0.05)


async def until_complete(books: Books) -> None:
    """Wait until a sweep has seen all that was posted."""
    deadline = monotonic() + WAIT_S
    query = "select coalesce((select complete_before from chain_progress) > max(posted_at), false) from transactions"
    while not (await books.sql(query))[0][0]:
        assert monotonic() < deadline, "no sweep came so far"
        await asyncio.sleep(0.05)


async def chain_of(books: Books) -> list[dict[str, Any]]:
    verdict = await books.verdict()
    return next(check for check in verdict.checks if check.name == "chain").violations


async def test_every_transaction_is_linked_once_in_the_order_of_the_stream(books: Books) -> None:
    rows = await books.sql("select number, event_id::text, late from chain_links order by number")
    assert [row["number"] for row in rows] == list(range(1, 13))
    assert [row["event_id"] for row in rows] == IDS


async def test_untouched_chain_holds(books: Books) -> None:
    check = next(each for each in (await books.verdict()).checks if each.name == "chain")
    assert (check.ok, check.checked) == (True, 12)
