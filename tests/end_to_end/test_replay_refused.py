"""A rebuild that is refused leaves nothing behind, and one that is stopped says how far it came."""

import asyncio
import signal
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest

from ledger.application.archive_ports import ObjectsAwayError
from streams.replay.faults import NotReplayableError
from streams.replay.session import Session
from streams.replay.wish import Wish
from tests.end_to_end.books import WAIT_S, Books, transfer
from tests.end_to_end.command import PROGRAM, Ledger

COUNT = 400


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    """Books of which the workers have posted nothing yet."""
    async with Books.open(kafka, postgres_dsn, "replay_refused", tmp_path_factory.mktemp("refused")) as books:
        await books.send([transfer("external:bank", f"a{number % 7}", 1 + number) for number in range(COUNT)])
        yield books


@pytest.mark.parametrize(
    "refused",
    [
        {"offsets": {99: (0, 5)}},
        {"source": "archive", "archive": "/none"},
        {"outcomes": "archive", "archive": "/none"},
    ],
)
async def test_a_rebuild_that_is_refused_leaves_no_schema(books: Books, refused: dict[str, Any]) -> None:
    wish = Wish(target="into", name="refused", by="tests", **refused)
    with pytest.raises((NotReplayableError, ObjectsAwayError)):
        await Session(books.settings, wish).run()
    assert await books.sql("select 1 from pg_namespace where nspname = 'refused'") == []


async def posted(books: Books, schema: str) -> int:
    [table] = await books.sql(f"select to_regclass('{schema}.processed_events') as name")
    rows = await books.sql(f"select 1 from {schema}.processed_events") if table["name"] else []
    return len(rows)


async def test_a_rebuild_that_is_stopped_says_how_far_it_came_and_how_it_goes_on(books: Books) -> None:
    ledger = Ledger(books.directory, books.environment)
    wish = ("replay", "--into", "stopped", "--outcomes", "topic", "--rate", "50")
    running = await asyncio.create_subprocess_exec(
        *PROGRAM, *wish, env=ledger.environment(), stderr=asyncio.subprocess.PIPE
    )
    deadline = monotonic() + WAIT_S
    while not await posted(books, "stopped"):
        assert running.returncode is None
        assert monotonic() < deadline
        await asyncio.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    _, said = await running.communicate()
    assert running.returncode == 128 + signal.SIGTERM
    assert f" of {COUNT} records. `ledger replay --into stopped --resume` goes on." in said.decode()
    report = await Session(
        books.settings, Wish(target="into", name="stopped", outcomes="topic", resume=True, by="tests")
    ).run()
    assert report.told.counts["posted"] == COUNT
