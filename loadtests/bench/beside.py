"""Readers beside a stream: open loop, in processes of their own, each request counted from when it was due."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

import aiohttp

from ledger.application.api_keys import KeyWish, new_key, parse_key, scopes_of
from ledger.bootstrap.keys import api_keys
from ledger.config import Settings
from loadtests.bench.latencies import Latencies
from loadtests.bench.results import Percentiles
from loadtests.bench.stage import Stage
from loadtests.workloads import ASSET, NOISY_TENANT, Workload
from streams.development_keys import development_keys
from streams.embedded.addresses import find_postgres
from streams.embedded.stack import Preparation
from streams.embedded.state import StateDirectory
from streams.key_secret import find_key_secret

SLICE_S = 2.0
ALONE_S = 4.0
"""So long a quiet tenant reads before the noise begins."""
IN_FLIGHT_MAX = 256
ACCOUNTS_READ = 500
QUIET_RATE = 50.0
NOISY_TIMES = 50
QUOTA_SETTINGS: Mapping[str, Any] = {"quota_requests_s": 4 * QUIET_RATE}
"""The share of a tenant, where one takes more than it."""
READS_RATE = 200.0
ANSWERED = frozenset({200, 429, 503})
"""Right answers: a tenant over its share is told so, and so is who asks an API that has no room."""
NO_ANSWER = 0
"""Instead of a status: the connection broke, or could not be made."""


class Reads(NamedTuple):
    """What one reader asks for: `name` in the report, the key, and requests a second."""

    name: str
    key: str
    rate: float
    consistency: str = "strong"
    begins_after_s: float = 0.0
    ends_after_s: float = float("inf")


class Heard(NamedTuple):
    """What a reader was answered: latencies as HdrHistogram writes them."""

    latencies: str
    answers: dict[int, int]


@dataclass(slots=True)
class Found:
    """What the readers of a run found, by name; complete when they have ended."""

    latencies: dict[str, Percentiles] = field(default_factory=dict)
    answers: dict[str, dict[str, int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Beside:
    """The readers that a workload wants; most want none."""

    def __init__(self, made: Stage, workload: Workload) -> None:
        self._stage = made
        self._workload = workload

    @property
    def preparations(self) -> Sequence[Preparation]:
        """What is done before the processes start."""
        return [_make_noisy_key] if "noise" in self._workload.needs else []

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Found]:
        """Read from here to the end of the block."""
        found, stopping, wanted = Found(), asyncio.Event(), self._wanted()
        if not wanted:
            yield found
            return
        with ProcessPoolExecutor(len(wanted), get_context("spawn")) as processes:
            tasks = [asyncio.create_task(self._read(processes, each, stopping)) for each in wanted]
            try:
                yield found
            finally:
                stopping.set()
                heard = await asyncio.gather(*tasks)
            for each, (latencies, answers, not_sent) in zip(wanted, heard, strict=True):
                _note(found, each, latencies, answers, not_sent)

    def _wanted(self) -> list[Reads]:
        needs = self._workload.needs
        if not needs & {"noise", "reads"}:
            return []
        key = development_keys(self._stage.state).api_key
        if "noise" in needs:
            noisy = _noisy_key(self._stage.state)
            return [
                Reads("read_quiet_alone", key, QUIET_RATE, ends_after_s=ALONE_S),
                Reads("read_quiet", key, QUIET_RATE, begins_after_s=ALONE_S),
                Reads("read_noisy", noisy, QUIET_RATE * NOISY_TIMES, begins_after_s=ALONE_S),
            ]
        kinds = ("strong", "cached", *(["eventual"] if self._stage.wishes.windows else []))
        return [Reads(f"read_{kind}", key, READS_RATE, kind) for kind in kinds]

    async def _read(
        self, processes: ProcessPoolExecutor, wanted: Reads, stopping: asyncio.Event
    ) -> tuple[Latencies, Counter[int], int]:
        """Give what was answered, and how many requests were due and not sent, for none before had been answered."""
        latencies, answers = Latencies(), Counter[int]()
        loop, url = asyncio.get_running_loop(), self._stage.url("api")
        ends = perf_counter() + wanted.ends_after_s
        await _until(stopping, wanted.begins_after_s)
        begins = perf_counter()
        while not stopping.is_set() and begins < ends:
            heard = await loop.run_in_executor(processes, read, url, wanted, begins, SLICE_S)
            latencies.add_encoded(heard.latencies)
            answers.update(heard.answers)
            # Whatever the time is by now: requests that fell due meanwhile are late, and count from when they were due.
            begins += SLICE_S
        not_sent = max(0, int((min(perf_counter(), ends) - begins) * wanted.rate))
        return latencies, answers, not_sent


def _note(found: Found, each: Reads, latencies: Latencies, answers: Counter[int], not_sent: int) -> None:
    found.latencies[each.name] = latencies.percentiles()
    told = {str(status): count for status, count in answers.items()}
    found.answers[each.name] = told | ({"not_sent": not_sent} if not_sent else {})
    if wrong := {status: count for status, count in answers.items() if status not in ANSWERED}:
        found.faults.append(f"{each.name} was answered {wrong} ({NO_ANSWER}: not at all)")


async def _until(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


def read(url: str, wanted: Reads, begins: float, seconds: float) -> Heard:
    """Send requests at their times, whether the last was answered or not; in a process of its own."""
    return asyncio.run(Reader(url, wanted).read(begins, seconds))


class Reader:
    """Asks for balances of some accounts, again and again."""

    def __init__(self, url: str, wanted: Reads) -> None:
        self._url = url
        self._wanted = wanted
        self._chance = Random(wanted.name)
        self._latencies = Latencies()
        self._answers: Counter[int] = Counter()

    async def read(self, begins: float, seconds: float) -> Heard:
        """Send what is due in so many seconds from a moment of the monotonic clock, and wait for all answers.

        What is late is sent at once, or as soon as there is room for it, and counts from when it was due.
        """
        headers = {"Authorization": f"Bearer {self._wanted.key}"}
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT_MAX)
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
            room = asyncio.Semaphore(IN_FLIGHT_MAX)
            async with asyncio.TaskGroup() as asking:
                for number in range(round(seconds * self._wanted.rate)):
                    due = begins + number / self._wanted.rate
                    await asyncio.sleep(max(0.0, due - perf_counter()))
                    await room.acquire()
                    asking.create_task(self._ask(session, due)).add_done_callback(lambda _: room.release())
        return Heard(self._latencies.encoded(), dict(self._answers))

    async def _ask(self, session: aiohttp.ClientSession, due: float) -> None:
        account = f"customer:{self._chance.randrange(ACCOUNTS_READ)}"
        query = f"asset={ASSET}&consistency={self._wanted.consistency}"
        status = NO_ANSWER
        with suppress(aiohttp.ClientError, OSError):  # counted as no answer, and told as a fault
            async with session.get(f"{self._url}/v1/accounts/{account}/balance?{query}") as answer:
                await answer.read()
                status = answer.status
        self._latencies.add((perf_counter() - due) * 1e6)
        self._answers[status] += 1


def _noisy_key(state: StateDirectory) -> str:
    return state.secret("noisy-key", lambda: str(new_key(secrets.token_bytes)))


async def _make_noisy_key(settings: Settings) -> None:
    parsed = parse_key(_noisy_key(StateDirectory(settings.state_dir)))
    if parsed is None:
        raise RuntimeError("what was made as a key is none")
    async with api_keys(settings, find_postgres(settings), key_secret=find_key_secret(settings)) as all_keys:
        await all_keys.ensure(parsed, KeyWish(NOISY_TENANT, "noise", scopes_of(["write"])), "loadtests")
