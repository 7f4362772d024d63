"""Workers that stop before records that the books have not seen, and `ledger gap`, which lets them go on."""

import asyncio
import json
import subprocess
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from loadtests.transport_logs import delete_before
from streams.transport.exits import Exit
from tests.end_to_end.books import WAIT_S, Books, transfer
from tests.end_to_end.command import Ledger

OLD_BOOKS = """
do $$ begin
    set local session_replication_role = replica;  -- nobody may delete what was posted, but a backup never had it
    truncate tenants, accounts, balances, transactions, entries, holds, reversals, processed_events cascade;
    update stream_offsets set next_offset = 0;
end $$
"""


class Desk:
    """`ledger gap` in a process of its own."""

    def __init__(self, books: Books) -> None:
        self._ledger = Ledger(books.directory, books.environment)

    async def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(self._ledger.run, "gap", *arguments)

    async def shown(self) -> tuple[int, list[dict[str, Any]]]:
        done = await self.run("show", "--json")
        return done.returncode, json.loads(done.stdout)["gaps"]

    async def rewound(self) -> list[dict[str, Any]]:
        """Rewind as soon as the group is empty: a worker that crashed is a member until its session ends."""
        deadline = monotonic() + WAIT_S
        while (done := await self.run("rewind", "--yes", "--json")).returncode:
            assert "Stop the workers" in done.stderr, done.stderr
            assert monotonic() < deadline
        found: list[dict[str, Any]] = json.loads(done.stdout)["rewound"]
        return found


async def post(books: Books, count: int, handled: int) -> int:
    """Have a worker post transfers of one partition, and commit; gives the partition."""
    await send(books, count)
    async with books.worker() as worker:
        await books.until_handled(handled)
        assert await worker.end() == 0
    return int((await books.records(books.settings.payments_topic))[-1].partition)


async def send(books: Books, count: int) -> None:
    values = [transfer("external:bank", "ann", 1) for _ in range(count)]
    await books.send(values, keys=[b"one"] * count)


async def stopped(books: Books) -> dict[str, Any]:
    """Run a worker until it stops at a gap; gives what it said of that."""
    async with books.worker() as worker:
        assert await worker.exit_code() == Exit.CRASHED
        [said] = [line for line in worker.log.splitlines() if '"position.gap"' in line]
        facts: dict[str, Any] = json.loads(said)
        return facts


@pytest.mark.slow
async def test_group_goes_back_to_books_that_are_older(kafka: str, postgres_dsn: str, tmp_path: Path) -> None:
    async with Books.open(kafka, postgres_dsn, "gap_held", tmp_path) as books:
        desk = Desk(books)
        partition = await post(books, 20, handled=20)
        assert await desk.shown() == (0, [])

        await books.sql(OLD_BOOKS)
        await send(books, 1)
        said = await stopped(books)
        assert (said["level"], said["partition"], said["books"], said["stream"]) == (
            "error",
            partition,
            0,
            20,
        )
        code, [gap] = await desk.shown()
        assert (code, gap["first_offset"], gap["next_offset"], gap["remedy"]) == (1, 0, 20, "rewind")
        refused = await desk.run("accept", "--partition", str(partition), "--why", "no", "--yes")
        assert (refused.returncode, "`ledger gap rewind`" in refused.stderr) == (1, True)
        assert (await desk.run("rewind")).returncode == 2

        assert await desk.rewound() == [gap]
        async with books.worker():
            await books.until_handled(21)
            busy = await desk.run("rewind", "--yes")
            assert (busy.returncode, "Stop the workers" in busy.stderr) == (1, True)
        assert (await books.balances())["ann"] == 21
        assert await books.violations() == {}


@pytest.mark.slow
async def test_what_the_books_know_is_absorbed_when_it_comes_again(
    kafka: str, postgres_dsn: str, tmp_path: Path
) -> None:
    async with Books.open(kafka, postgres_dsn, "gap_known", tmp_path) as books:
        await post(books, 10, handled=10)
        await books.sql("update stream_offsets set next_offset = 4 where next_offset = 10")
        await send(books, 1)
        await stopped(books)
        assert [gap["records"] for gap in await Desk(books).rewound()] == [6]
        async with books.worker():
            await books.until_handled(11)
        assert (await books.balances())["ann"] == 11
        assert await books.violations() == {}


@pytest.mark.slow
async def test_books_go_on_without_what_is_gone(kafka: str, postgres_dsn: str, tmp_path: Path) -> None:
    async with Books.open(kafka, postgres_dsn, "gap_gone", tmp_path) as books:
        desk, topic = Desk(books), books.settings.payments_topic
        partition = await post(books, 5, handled=5)
        await send(books, 5)
        await delete_before(kafka, topic, partition, 8)

        said = await stopped(books)
        assert (said["books"], said["stream"]) == (5, 8)
        code, [gap] = await desk.shown()
        assert (code, gap["records"], gap["remedy"]) == (1, 3, "accept")
        assert "are gone: `ledger gap accept" in (await desk.run("show")).stdout
        assert await desk.rewound() == []

        accept = ("accept", "--topic", topic, "--partition", str(partition), "--why", "kept too short")
        assert (await desk.run(*accept)).returncode == 2
        done = await desk.run(*accept, "--yes", "--json")
        assert (done.returncode, json.loads(done.stdout)["accepted"]) == (0, gap)
        again = await desk.run(*accept, "--yes")
        assert (again.returncode, "has no gap" in again.stderr) == (1, True)

        async with books.worker():
            await books.until_handled(10)
        assert (await books.balances())["ann"] == 7
        assert await books.violations() == {}
        [kept] = await books.sql(
            "select first_offset, next_offset, why, done_by <> '' as by from accepted_gaps"
        )
        assert tuple(kept) == (5, 8, "kept too short", True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("accept", "--partition", "0", "--why", " ", "--yes"), "--why is empty"),
        (("accept", "--partition", "0", "--yes"), "--why TEXT"),
        (("accept", "--partition", "0", "--topic", "other", "--why", "x", "--yes"), "LEDGER_PAYMENTS_TOPIC"),
    ],
)
def test_wrong_use_is_told(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = Ledger(tmp_path).run("gap", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_services_away_are_told(tmp_path: Path) -> None:
    done = Ledger(tmp_path).run("gap", "show")
    assert (done.returncode, "`ledger up`" in done.stderr) == (3, True), done.stderr
