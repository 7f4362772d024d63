"""Windows workers as processes: whatever dies or is lost, every window is that of the entries."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from time import monotonic
from zlib import crc32

import pytest

from ledger.domain.moments import microseconds
from streams.cli.running import FOUND_WRONG
from streams.topics import remove_topic
from streams.transport.publisher import Outgoing
from tests.end_to_end.books import WAIT_S, Books, transfer
from tests.end_to_end.command import Ledger
from tests.end_to_end.window_stage import LOOK_S, WINDOWS, Stage
from tests.window_history import Entry

STORES = ("memory", "rocksdict")
STORM_S = 9.0


@pytest.fixture
async def books(
    request: pytest.FixtureRequest, kafka: str, postgres_dsn: str, tmp_path: Path
) -> AsyncIterator[Books]:
    name = f"windows_{crc32(request.node.name.encode())}"
    async with Books.open(kafka, postgres_dsn, name, tmp_path) as books:
        yield books


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("point", ["before_checkpoint", "checkpoint_written"])
async def test_a_worker_killed_around_a_checkpoint_loses_and_doubles_nothing(
    books: Books, point: str, store: str
) -> None:
    stage = Stage(books)
    entries = stage.make(accounts=20, entries_each=40)
    await stage.publish(entries[:500])
    settings = {"LEDGER_WINDOWS_STORE": store, "LEDGER_WINDOWS_CHUNK_RECORDS_MAX": "60"}
    async with books.worker(arguments=WINDOWS, **settings, LEDGER_CRASH=f"{point}:3") as worker:
        assert await worker.exit_code() == 137, worker.log
    await stage.publish(entries[500:])
    async with books.worker(arguments=WINDOWS, **settings) as worker:
        await stage.until_right(worker)
        assert await worker.end() == 0, worker.log


async def test_duplicates_and_disorder_change_nothing(books: Books) -> None:
    stage = Stage(books)
    entries = stage.make(accounts=20, entries_each=40)
    disordered = entries + stage.random.choices(entries, k=400)
    stage.random.shuffle(disordered)
    await stage.publish(disordered)
    async with books.worker(arguments=WINDOWS, LEDGER_WINDOWS_CHUNK_RECORDS_MAX="50") as worker:
        await stage.until_right(worker)


async def test_versions_that_do_not_come_are_told_and_heal(books: Books) -> None:
    stage = Stage(books)
    entries = stage.make(accounts=1, entries_each=5)
    await stage.publish(entries[:2] + entries[3:])
    async with books.worker(arguments=WINDOWS, LEDGER_WINDOWS_GAP_S="0.5") as worker:
        await stage.until_right(worker)
        await until(lambda: "versions.missing" in worker.log)
        await stage.publish(entries[2:3])
        await until(lambda: "versions.healed" in worker.log)
        await stage.until_right(worker)


async def test_records_that_are_no_entries_are_told_and_skipped(books: Books) -> None:
    stage = Stage(books)
    (entry,) = stage.make(accounts=1, entries_each=1)
    for value in (b"\xff", b"{}", None):
        await books.publisher.publish([outgoing(books, value)])
    await stage.publish([entry])
    async with books.worker(arguments=WINDOWS) as worker:
        await stage.until_right(worker)
        assert worker.log.count("record.not_an_entry") == 3


async def test_what_was_on_disk_is_recovered_when_it_is_damaged_or_gone(books: Books) -> None:
    stage = Stage(books)
    entries = stage.make(accounts=20, entries_each=30)
    await stage.publish(entries[:300])
    async with books.worker(arguments=WINDOWS, LEDGER_WINDOWS_STORE="rocksdict") as worker:
        await stage.until_right(worker)
        assert await worker.end() == 0, worker.log

    databases = sorted(books.directory.glob("workers/*/**/*.db"))
    assert len(databases) == books.settings.partitions
    for path in databases[0].glob("MANIFEST*"):
        path.write_bytes(b"no manifest")
    shutil.rmtree(databases[1])
    await stage.publish(entries[300:])
    async with books.worker(arguments=WINDOWS, LEDGER_WINDOWS_STORE="rocksdict") as worker:
        await stage.until_right(worker)
        assert worker.log.count("state.unreadable") == 1


async def test_workers_that_come_and_go_lose_nothing(books: Books) -> None:
    stage = Stage(books)
    entries = stage.make(accounts=30, entries_each=60)
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(books.worker(arguments=WINDOWS)) for _ in range(2)]
        begun, published = monotonic(), 0
        while (passed := monotonic() - begun) < STORM_S:
            upto = int(len(entries) * passed / STORM_S)
            await stage.publish(entries[published:upto])
            published = upto
            if stage.random.random() < 0.08:
                leaving = workers.pop(0)
                await leaving.end(stage.random.choice((signal.SIGKILL, signal.SIGTERM)))
                workers.append(await stack.enter_async_context(books.worker(arguments=WINDOWS)))
            await asyncio.sleep(LOOK_S)
        await stage.publish(entries[published:])
        await stage.until_right(*workers)


async def test_a_lost_changelog_is_made_anew_from_the_books(books: Books) -> None:
    command = Ledger(books.directory, books.environment)
    accounts = [f"customer:{number}" for number in range(12)]
    first, second = (
        [transfer("external:bank", each, 100 + n) for n, each in enumerate(accounts)] for _ in "ab"
    )
    await books.send(first)
    rocks = {"LEDGER_WINDOWS_STORE": "rocksdict"}
    async with books.worker(), books.worker(arguments=WINDOWS, **rocks) as worker:
        stage = await staged(books, dict.fromkeys(accounts, 1))
        await stage.until_right(worker)
        busy = command.run("windows", "rebuild", "--yes")
        assert busy.returncode == FOUND_WRONG, busy.stderr
        assert "Stop the windows workers" in busy.stderr
        assert await worker.end() == 0, worker.log

        await delete_changelog(books)
        await books.send(second)
        stage = await staged(books, dict.fromkeys(accounts, 2))
        made = await asyncio.to_thread(command.report, "reset", "windows", "--yes")
        assert made["balances"] == 13
        async with books.worker(arguments=WINDOWS, **rocks) as worker:
            await stage.until_right(worker)
            assert "state.foreign" in worker.log


async def test_a_worker_tells_that_the_changelog_is_lost(books: Books) -> None:
    stage = Stage(books)
    await stage.publish(stage.make(accounts=5, entries_each=5))
    async with books.worker(arguments=WINDOWS) as worker:
        await stage.until_right(worker)
        assert await worker.end() == 0, worker.log
    await delete_changelog(books)
    async with books.worker(arguments=WINDOWS) as worker:
        await until(lambda: "changelog.lost" in worker.log)


def outgoing(books: Books, value: bytes | None) -> Outgoing:
    return Outgoing(books.settings.entries_topic, b"acme/ann", value)


async def staged(books: Books, versions: dict[str, int]) -> Stage:
    """Take what posting workers have published for what the windows are to be made of."""
    stage = Stage(books)
    for account, found in (await books.until_published(versions)).items():
        name = f"acme/{account} USD/2"
        stage.entries[name] = [
            Entry(
                name,
                each["version"],
                each["amount"],
                each["posted_debits"],
                each["posted_credits"],
                microseconds(datetime.fromisoformat(each["posted_at"])),
            )
            for each in found
        ]
    return stage


async def delete_changelog(books: Books) -> None:
    await remove_topic(str(books.settings.kafka_bootstrap), books.settings.windows_topic)


async def until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + WAIT_S
    while not condition():
        assert monotonic() < deadline
        await asyncio.sleep(LOOK_S)
