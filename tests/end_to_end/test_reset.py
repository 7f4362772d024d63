"""`ledger reset positions` on real servers: workers go over the log again, and nothing is posted twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.end_to_end.books import Books, id_of, transfer
from tests.end_to_end.command import Ledger

COUNT = 40


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    async with Books.open(kafka, postgres_dsn, "reset", tmp_path_factory.mktemp("reset")) as books:
        yield books


async def reset(books: Books, *arguments: str) -> Any:
    return await asyncio.to_thread(
        Ledger(books.directory, books.environment).run, "reset", "positions", *arguments
    )


async def test_workers_go_over_everything_again_and_post_nothing_twice(books: Books) -> None:
    values = [transfer("external:bank", f"a{number % 5}", 1) for number in range(COUNT)]
    await books.send(values)
    async with books.worker() as worker:
        await books.until_handled(COUNT)
        busy = await reset(books, "--to", "beginning", "--yes")
        assert (busy.returncode, "Stop the workers" in busy.stderr) == (1, True), busy.stderr
        assert await worker.end() == 0, worker.log
    before = await books.balances()

    asked = await reset(books, "--to", "beginning")
    assert (asked.returncode, "goes from" in asked.stderr, "--yes" in asked.stderr) == (2, True, True)
    done = await reset(books, "--to", "beginning", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    moved = orjson.loads(done.stdout)["moved"]
    assert sum(each["from"] - each["to"] for each in moved) == COUNT

    async with books.worker() as worker:
        await books.until_records(books.settings.outcomes_topic, 2 * COUNT)
        assert await worker.end() == 0, worker.log
    assert {name: dict(kinds) for name, kinds in (await books.outcomes()).items()} == {
        id_of(value): {"event.posted.v1": 2} for value in values
    }
    assert await books.balances() == before
    assert await books.violations() == {}


async def test_group_that_is_where_the_books_stand_does_not_move(books: Books) -> None:
    done = await reset(books)
    assert (done.returncode, "there already" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "nowhere"), "--to is books, beginning, or a time"),
        (("--partition", "9"), "has no partition 9"),
    ],
)
async def test_wrong_use_is_told(books: Books, arguments: tuple[str, ...], said: str) -> None:
    done = await reset(books, *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
