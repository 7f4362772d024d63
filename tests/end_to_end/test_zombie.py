"""A worker stopped past its session and continued finds its partitions taken over, and doubles nothing."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from random import Random

import pytest

from tests.end_to_end.books import Books, Worker, transfer

EVENTS = 3000
STOPPED_S = 3.0


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    async with Books.open(kafka, postgres_dsn, "zombies", tmp_path_factory.mktemp("zombies")) as books:
        yield books


def payments(seed: int, sums: Counter[str]) -> list[bytes]:
    random, values = Random(seed), []
    for _ in range(EVENTS):
        debit, credit = (f"external:{number}" for number in random.sample(range(50), 2))
        amount = random.randrange(1, 1000)
        sums[debit] -= amount
        sums[credit] += amount
        values.append(transfer(debit, credit, amount))
    return values


def start(books: Books) -> Worker:
    return Worker(books, LEDGER_BATCH_RECORDS_MAX="50", LEDGER_POSTGRES_IDLE_IN_TRANSACTION_S="2")


async def test_zombie_doubles_nothing(books: Books) -> None:
    sums: Counter[str] = Counter()
    workers = [start(books), start(books)]
    try:
        await books.send(payments(1, sums))
        await books.until_handled(EVENTS // 4)
        zombie = workers[0].process
        zombie.send_signal(signal.SIGSTOP)
        await asyncio.gather(books.until_handled(EVENTS), asyncio.sleep(STOPPED_S))
        zombie.send_signal(signal.SIGCONT)
        await books.send(payments(2, sums))
        await books.until_handled(2 * EVENTS)
        codes = [await worker.end() for worker in workers]
    finally:
        for worker in workers:
            worker.process.kill()

    assert codes[1] == 0, workers[1].log
    assert await books.balances() == dict(sums)
    verdict = await books.verdict()
    assert verdict.ok, verdict.as_dict()
