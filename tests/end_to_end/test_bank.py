"""The bank test: money moves between accounts while a worker is killed, and no reader ever sees a wrong total."""

import asyncio
import random
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

from tests.end_to_end.books import Books, Worker, transfer
from tests.end_to_end.serving_api import served

ACCOUNTS = [f"bank:{number}" for number in range(12)]
EACH = 1000
TOTAL = EACH * len(ACCOUNTS)
READS_MIN = 10
SECONDS_MAX = 60.0
SETTLED = timedelta(seconds=4)
"""So far in the past, everything that was posted is also committed: a killed worker's batch ends sooner."""


async def test_totals_are_right_while_money_moves_and_a_worker_dies(
    kafka: str, postgres_dsn: str, tmp_path: Path
) -> None:
    async with (
        Books.open(kafka, postgres_dsn, "bank", tmp_path) as books,
        books.worker() as first,
        books.worker(),
        served(
            postgres_dsn, "bank", kafka_bootstrap=kafka, outcomes_topic=books.settings.outcomes_topic
        ) as api,
        api.client(await api.key("read")) as client,
    ):
        await fund(books)
        seen = await watch(client, books, first)
    assert set(seen["snapshots"]) == {TOTAL}
    assert set(seen["past"]) == {TOTAL}
    assert set(seen["differences"]) == {0}
    assert seen["versions"] == sorted(seen["versions"])
    assert is_enough(seen), "the money has to move while it is counted"


async def fund(books: Books) -> None:
    await books.send(transfer("external:world", account, EACH) for account in ACCOUNTS)
    await books.until_handled(len(ACCOUNTS))


async def watch(client: httpx.AsyncClient, books: Books, first: Worker) -> dict[str, list[int]]:
    """Move money, kill the worker in the middle, and read all the while."""
    seen: dict[str, list[int]] = {"snapshots": [], "past": [], "differences": [], "versions": []}
    beside = [asyncio.create_task(move(books)), asyncio.create_task(kill_later(first))]
    began = datetime.now(UTC)
    deadline = monotonic() + SECONDS_MAX
    while not (beside[1].done() and is_enough(seen)) and monotonic() < deadline:
        await look(client, seen)
        past = datetime.now(UTC) - SETTLED
        if past > began:
            seen["past"].append(await total_at(client, past))
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    return seen


def is_enough(seen: dict[str, list[int]]) -> bool:
    return len(set(seen["versions"])) > READS_MIN and len(seen["past"]) > READS_MIN


async def kill_later(worker: Worker) -> None:
    await asyncio.sleep(0.9)
    await worker.end(signal.SIGKILL)


async def move(books: Books) -> None:
    chance = random.Random(7)
    while True:
        pairs = [chance.sample(ACCOUNTS, 2) for _ in range(60)]
        await books.send(transfer(debit, credit, chance.randrange(1, 400)) for debit, credit in pairs)
        await asyncio.sleep(0.05)


async def look(client: httpx.AsyncClient, seen: dict[str, list[int]]) -> None:
    page = await ask(client, "/v1/accounts", prefix="bank:")
    seen["snapshots"].append(
        sum(balance["balance"] for each in page["items"] for balance in each["balances"])
    )
    totals = await ask(client, "/v1/trial-balance", asset="USD/2")
    seen["differences"].append(totals["items"][0]["difference"])
    strong = await ask(client, "/v1/accounts/bank:0/balance", asset="USD/2")
    seen["versions"].append(strong["version"])


async def total_at(client: httpx.AsyncClient, at: datetime) -> int:
    asked = [
        ask(client, f"/v1/accounts/{account}/balance", asset="USD/2", at=at.isoformat())
        for account in ACCOUNTS
    ]
    return sum([found["balance"] for found in await asyncio.gather(*asked)])


async def ask(client: httpx.AsyncClient, path: str, **query: str) -> dict[str, Any]:
    answer = await client.get(path, params=query)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
