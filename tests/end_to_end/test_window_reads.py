"""Windows workers that come, go and are killed under readers: no reader is told anything but what was so."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from ledger.adapters.workers.client import Workers
from ledger.application.stream_reading import BalanceOf, StreamAwayError
from ledger.domain.window import WindowSize
from tests.end_to_end.books import WAIT_S, Books, Worker
from tests.end_to_end.rolled import until_rolled
from tests.end_to_end.window_stage import FOR_EVER, LOOK_S, WINDOWS, Stage
from tests.fakes import RememberedSignals
from tests.window_history import Entry, naive_windows

ACCOUNTS = 2000
READERS = 3
AT_ONCE = 16
SOME = 100


@pytest.fixture
async def books(kafka: str, postgres_dsn: str, tmp_path: Path) -> AsyncIterator[Books]:
    async with Books.open(kafka, postgres_dsn, "window_reads", tmp_path) as books:
        yield books


class Reading:
    """Readers that never stop asking, and check whatever they are told."""

    def __init__(
        self, workers: Workers, histories: Mapping[str, list[Entry]], known: Mapping[str, int]
    ) -> None:
        self._workers = workers
        self._histories = histories
        self._known = known
        """The version of each balance that was in the changelog before the workers came and went."""
        self.answers: Counter[str] = Counter()

    async def go_on(self, seed: int) -> None:
        chance, names = Random(seed), sorted(self._histories)
        while True:
            await self.read(chance.choice(names), chance.choice(list(WindowSize)))

    async def read(self, name: str, size: WindowSize) -> bool:
        """Ask for the windows of a balance; says whether the stream answered."""
        account, _, asset = name.partition(" ")
        tenant, _, code = account.partition("/")
        of = BalanceOf(tenant, code, asset)
        try:
            balance = await self._workers.balance(of)
            found = await self._workers.windows(of, size, 0, FOR_EVER, 1000)
        except StreamAwayError as away:
            self.answers[away.cause] += 1
            return False
        history = self._histories[name]
        for life in (balance.life, found.life):
            assert life is not None, f"{name} has entries, and the stream says that it has none"
            assert self._known[name] <= life.last_version <= len(history)
            newest = history[life.last_version - 1]
            assert (life.closing_debits, life.closing_credits) == (newest.debits, newest.credits)
        expected = naive_windows(history[: found.life.last_version if found.life else 0], size)
        kept = {start: window for start, window in expected.items() if start >= found.kept_from}
        assert {each.start: each.window for each in found.windows} == kept
        self.answers["stream"] += 1
        return True


async def until_all_answer(reading: Reading, names: list[str]) -> None:
    """Wait until the stream answers for every balance."""
    deadline, left = monotonic() + WAIT_S, names
    while left:
        assert monotonic() < deadline, f"{len(left)} are not answered: {reading.answers}"
        failed: list[str] = []
        for begin in range(0, len(left), AT_ONCE):
            some = left[begin : begin + AT_ONCE]
            answered = await asyncio.gather(*(reading.read(name, WindowSize.DAY) for name in some))
            failed += [name for name, is_answered in zip(some, answered, strict=True) if not is_answered]
        left = failed
        if left:
            await asyncio.sleep(LOOK_S)


async def until_listening(workers: list[Worker]) -> None:
    deadline = monotonic() + WAIT_S
    while not all(worker.port for worker in workers):
        assert monotonic() < deadline
        await asyncio.sleep(LOOK_S)


@pytest.mark.slow
async def test_readers_are_told_the_truth_while_workers_come_go_and_are_killed(books: Books) -> None:
    stage = Stage(books)
    entries = stage.make(ACCOUNTS, 3)
    first, rest = entries[: 2 * len(entries) // 3], entries[2 * len(entries) // 3 :]
    async with AsyncExitStack() as stack:
        fleet = [await stack.enter_async_context(books.worker(arguments=WINDOWS)) for _ in range(3)]
        await stage.publish(first)
        await until_listening(fleet)
        await until_rolled(books)
        known = {name: len(history) for name, history in stage.entries.items()}
        client = await stack.enter_async_context(
            Workers.open(
                [f"http://127.0.0.1:{worker.port}" for worker in fleet[:1]],
                str(books.settings.internal_token),
                RememberedSignals(),
                timeout_s=1.0,
            )
        )
        histories = {name: [*history] for name, history in stage.entries.items()}
        for entry in rest:
            if entry.name in histories:
                histories[entry.name].append(entry)
        reading = Reading(client, histories, known)
        await until_all_answer(reading, sorted(known)[:SOME])
        async with asyncio.TaskGroup() as readers:
            tasks = [readers.create_task(reading.go_on(seed)) for seed in range(READERS)]
            await stage.publish([entry for entry in rest if entry.name in histories])
            fleet.append(await stack.enter_async_context(books.worker(arguments=WINDOWS)))
            await until_listening(fleet)
            await asyncio.sleep(0.9)
            await fleet[1].end(signal.SIGKILL)
            await until_all_answer(reading, sorted(known)[:SOME])
            for task in tasks:
                task.cancel()
        await until_all_answer(reading, sorted(known))
    assert reading.answers["stream"] > len(known)
