"""A replay into the live books beside live traffic on the same accounts: each event counts once, at the rate."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from streams.replay.session import Session
from streams.replay.wish import Report, Wish
from tests.end_to_end.books import Books, transfer
from tests.end_to_end.planting import run_script

COUNT, LOST, RATE = 600, 200, 100
AT_ONCE, PAUSE_S = 20, 0.05
# The books as they were when the stream stood in the middle: what came later is not in them, but passed by.
FORGET = """
    truncate tenants, accounts, balances, transactions, entries, holds, reversals, processed_events cascade
"""


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    """Books that forgot all that their positions have passed by."""
    async with Books.open(kafka, postgres_dsn, "replay_beside", tmp_path_factory.mktemp("beside")) as books:
        await books.send(history(LOST))
        async with books.worker() as worker:
            await books.until_handled(LOST)
            assert await worker.end() == 0, worker.log
        await run_script(books, FORGET)
        yield books


def history(count: int) -> list[bytes]:
    return [transfer("external:bank", f"a{number % 7}", 100 + number) for number in range(count)]


async def send_steadily(books: Books) -> None:
    events = history(COUNT)
    for start in range(0, COUNT, AT_ONCE):
        await books.send(events[start : start + AT_ONCE])
        await asyncio.sleep(PAUSE_S)


async def replayed(books: Books) -> tuple[Report, float]:
    begun = monotonic()
    report = await Session(books.settings, Wish(target="live", by="tests", why="a test", rate=RATE)).run()
    return report, monotonic() - begun


async def test_a_replay_beside_live_traffic_counts_each_event_once_and_keeps_to_its_rate(
    books: Books,
) -> None:
    async with books.worker() as worker:
        (report, seconds), _ = await asyncio.gather(replayed(books), send_steadily(books))
        await books.until_handled(LOST + COUNT)
        assert await worker.end() == 0, worker.log
    assert report.told.counts["posted"] == LOST
    assert seconds >= LOST / RATE * 0.8
    expected = {f"a{number}": 0 for number in range(7)}
    for count in (LOST, COUNT):
        for number in range(count):
            expected[f"a{number % 7}"] += 100 + number
    balances = await books.balances()
    assert balances == {**expected, "external:bank": -sum(expected.values())}
    assert await books.violations() == {}
