"""PostgreSQL goes away, or cuts connections at any moment: the stream waits, says so, and goes on by itself."""

import asyncio
import json
import os
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import pytest

from ledger.config import Settings
from streams.embedded.stack import EmbeddedStack
from tests.end_to_end.books import WAIT_S, Books, Worker, transfer

EVENTS = 4000
CUTS_MAX = 40


def payments(seed: int) -> tuple[list[bytes], Counter[str]]:
    """Transfers between accounts without a limit, and what must come of them."""
    random, sums = Random(seed), Counter[str]()
    values = []
    for _ in range(EVENTS):
        debit, credit = (f"external:{seed}:{number}" for number in random.sample(range(30), 2))
        amount = random.randrange(1, 1000)
        sums[debit] -= amount
        sums[credit] += amount
        values.append(transfer(debit, credit, amount))
    return values, sums


async def ready(worker: Worker) -> tuple[int, dict[str, Any]]:
    """What the worker says of itself."""
    return await asyncio.to_thread(_get, f"http://127.0.0.1:{worker.port}/health/ready")


def _get(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


async def until_ready(worker: Worker, status: int) -> dict[str, Any]:
    deadline = monotonic() + WAIT_S
    while (answer := await ready(worker))[0] != status:
        assert monotonic() < deadline, (answer, worker.log)
        await asyncio.sleep(0.05)
    return answer[1]


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    async with Books.open(kafka, postgres_dsn, "cut_off", tmp_path_factory.mktemp("cut_off")) as books:
        yield books


async def test_cut_connections_change_nothing(books: Books) -> None:
    values, sums = payments(1)
    async with books.worker(LEDGER_BATCH_RECORDS_MAX="50") as worker:
        await until_ready(worker, 200)
        await books.send(values)
        cuts = 0
        while cuts < CUTS_MAX and await books.handled() < EVENTS:
            rows = await books.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ledger-worker' "
                "and query ilike $1",
                ["commit%", "%claim%", "copy%"][cuts % 3],
            )
            cuts += len(rows)
        await books.until_handled(EVENTS)
        assert worker.process.poll() is None
        assert await worker.end() == 0, worker.log

    assert cuts > 0
    assert {code: net for code, net in (await books.balances()).items() if code in sums} == dict(sums)
    assert await books.violations() == {}


async def test_stream_waits_out_a_killed_server(kafka: str, tmp_path: Path) -> None:
    settings = Settings(kafka_bootstrap=kafka, postgres_dsn=None)
    values, sums = payments(2)
    async with (
        EmbeddedStack(tmp_path / "state", settings=settings) as stack,
        Books.open(kafka, stack.postgres_dsn, "killed", tmp_path) as books,
    ):
        async with books.worker(LEDGER_BATCH_RECORDS_MAX="100") as worker:
            await until_ready(worker, 200)
            await books.send(values)
            await books.until_handled(EVENTS // 4)
            await kill_postgres(stack)
            state = await until_ready(worker, 503)
            assert state["waiting_for"] == ["postgres"]
            assert len(state["partitions"]) == books.settings.partitions
            await books.until_handled(EVENTS)
            await until_ready(worker, 200)
            assert worker.process.poll() is None
        assert await books.balances() == dict(sums)
        assert await books.violations() == {}


async def kill_postgres(stack: EmbeddedStack) -> None:
    pid = next(process.pid for process in stack.processes() if process.name == "postgres")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
