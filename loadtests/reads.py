"""Reads beside writes: what the whole ledger handles, how far windows are behind, and what the API answers.

`python -m loadtests.reads [--rate 10000] [--seconds 30]`; needs `wrk` on the path. Prints JSON. All of it
shares this machine: Kafka, PostgreSQL, the workers, the API, the generator and wrk.
"""

import argparse
import asyncio
import json
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import quantiles
from time import monotonic
from typing import Any

import aiohttp
import asyncpg

from ledger.adapters.system import new_event_id
from ledger.config import Settings
from ledger.contract.outgoing import CONTENT_TYPE, record_key
from streams.development_keys import TENANT, development_keys, make_development_keys
from streams.embedded.programs import api, posting_workers, windows_workers
from streams.embedded.stack import EmbeddedStack
from streams.prepare import prepare
from streams.transport.publisher import BatchPublisher, Outgoing

ACCOUNTS = 10_000
ACCOUNTS_READ = 500
"""Readers ask for the same accounts again and again, which is what a cache is for."""

TICKS_S = 0.05
PROBES_S = 0.1
WAIT_S = 120.0

LUA = """
local threads = 0
function setup(thread) thread:set("seed", threads); threads = threads + 1 end
function init(args) math.randomseed(os.time() + seed) end
function request()
  local path = "/v1/accounts/external:" .. math.random(0, %d) .. "/balance?asset=USD/2&consistency=%s"
  return wrk.format("GET", path, {["Authorization"] = "Bearer %s"})
end
"""


class Uniform:
    """Transfers between `ACCOUNTS` accounts, each as likely as any other."""

    def __init__(self, topic: str, seed: int = 1) -> None:
        self._topic = topic
        self._random = Random(seed)

    def make(self, count: int) -> list[Outgoing]:
        """Make events; their ids hold the time of now."""
        return [self._transfer(*self._random.sample(range(ACCOUNTS), 2)) for _ in range(count)]

    def _transfer(self, debit: int, credit: int) -> Outgoing:
        return transfer(self._topic, f"external:{debit}", f"external:{credit}", 1 + debit % 100)


def transfer(topic: str, debit: str, credit: str, amount: int) -> Outgoing:
    """One transfer in USD/2."""
    value = (
        f'{{"specversion":"1.0","id":"{new_event_id()}","source":"loadtests","type":"transfer.post.v1",'
        f'"tenant":"{TENANT}","data":{{"debit":"{debit}","credit":"{credit}","amount":{amount},"asset":"USD/2"}}}}'
    )
    return Outgoing(topic, record_key(TENANT, debit), value.encode(), (CONTENT_TYPE,))


class Reads:
    """One run."""

    def __init__(self, stack: EmbeddedStack, publisher: BatchPublisher, http: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._settings = stack.settings
        self._publisher = publisher
        self._http = http
        self._load = Uniform(stack.settings.payments_topic)
        self._url = stack.state.read().url("api") or ""
        self._key = development_keys(stack.state).api_key

    async def run(self, rate: int, seconds: int) -> dict[str, Any]:
        """Measure the peak, then windows at `rate`, then reads at half the peak."""
        await self._peak(4 * rate)  # accounts are opened, and what is remembered is learned
        peak = await self._peak(12 * rate)
        tell(f"peak with everything on: {peak:.0f} transfers/s")
        behind = await self._beside(rate, seconds, self._window_delays(seconds))
        windows = {"rate": rate, **percentiles(behind), "database_answers": self._from_database}
        tell(f"windows behind at {rate}/s: {windows}")
        wrks = {}
        for consistency in ("strong", "cached", "eventual"):
            wrks[consistency] = await self._beside(
                round(peak / 2), seconds, self._wrk(consistency, seconds - 5)
            )
            tell(f"{consistency} at {peak / 2:.0f} transfers/s: {wrks[consistency]}")
        quiet = await self._wrk("strong", 10)
        return {
            "peak_transfers_s": round(peak),
            "windows": windows,
            "beside_half_of_peak": wrks,
            "strong_alone": quiet,
            "memory_mib": self._memory(),
        }

    async def _peak(self, count: int) -> float:
        events = self._load.make(count)
        before, started = await self._handled(), monotonic()
        for index in range(0, count, 5000):
            await self._publisher.publish(events[index : index + 5000])
        await self._until(before + count)
        return count / (monotonic() - started)

    async def _handled(self) -> int:
        connection = await asyncpg.connect(
            self._stack.postgres_dsn, server_settings={"search_path": self._settings.postgres_schema}
        )
        try:
            return int(await connection.fetchval("select coalesce(sum(next_offset), 0) from stream_offsets"))
        finally:
            await connection.close()

    async def _until(self, count: int) -> None:
        deadline = monotonic() + WAIT_S
        while await self._handled() < count:
            if monotonic() > deadline:
                raise TimeoutError(f"the books stand at {await self._handled()} of {count}")
            await asyncio.sleep(TICKS_S)

    async def _beside(self, rate: int, seconds: int, work: Any) -> Any:
        """Do `work` beside a paced stream, and let the stream drain after it."""
        events = self._load.make(rate * seconds)
        before = await self._handled()
        sending = asyncio.create_task(self._pace(events, rate))
        result = await work
        await sending
        await self._until(before + len(events))
        return result

    async def _pace(self, events: Sequence[Outgoing], rate: int) -> None:
        started, sent, each = monotonic(), 0, max(1, round(rate * TICKS_S))
        while sent < len(events):
            await self._publisher.publish(events[sent : sent + each])
            sent += each
            await asyncio.sleep(max(0.0, started + sent / rate - monotonic()))

    _from_database = 0

    async def _window_delays(self, seconds: int) -> list[float]:
        """Send a probe, and see when the stream's windows have it: seconds after it was posted, one after another."""
        delays: list[float] = []
        deadline, number = monotonic() + seconds - 2, 0
        while monotonic() < deadline:
            number += 1
            account = f"probe:{number % 50}:{int(deadline)}"
            began = monotonic()
            topic = self._settings.payments_topic
            await self._publisher.publish([transfer(topic, "external:probe", account, 1)])
            while (posted_at := await self._streamed(account, 1 + (number - 1) // 50)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            delays.append((datetime.now(UTC) - posted_at).total_seconds())
            await asyncio.sleep(max(0.0, began + PROBES_S - monotonic()))
        return delays

    async def _streamed(self, account: str, version: int) -> datetime | None:
        """When the newest entry was posted that the stream's windows have of an account; None if that is too old."""
        url = f"{self._url}/v1/accounts/{account}/balance?asset=USD/2&consistency=eventual"
        async with self._http.get(url, headers={"authorization": f"Bearer {self._key}"}) as answer:
            found = await answer.json() if answer.status == 200 else {}
        if found.get("source") == "database":
            self._from_database += 1
        if found.get("source") != "stream" or found["version"] < version:
            return None
        return datetime.fromisoformat(found["as_of"])

    async def _wrk(self, consistency: str, seconds: int) -> dict[str, Any]:
        script = self._stack.state.path / f"{consistency}.lua"
        script.write_text(LUA % (ACCOUNTS_READ - 1, consistency, self._key))
        process = await asyncio.create_subprocess_exec(
            "wrk",
            *("-t1", "-c16", f"-d{seconds}s", "--latency", "-s", str(script), self._url),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        return read_wrk(output.decode())

    def _memory(self) -> dict[str, float]:
        """Resident memory of each process, in MiB."""
        found = {}
        for process in self._stack.processes():
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident = re.search(r"VmRSS:\s+(\d+)", status)
            found[process.name] = round(int(resident.group(1)) / 1024, 1) if resident else 0.0
        return found


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Give p50, p99 and the longest, in seconds."""
    cuts = quantiles(seconds, n=100)
    return {"p50_s": round(cuts[49], 3), "p99_s": round(cuts[98], 3), "max_s": round(max(seconds), 3)}


def read_wrk(output: str) -> dict[str, Any]:
    """Read wrk's report: requests a second, latencies, and answers that were errors."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    latencies = dict(re.findall(r"^\s+(50|99)%\s+([\d.]+\w+)", output, re.MULTILINE))
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return {
        "requests_s": round(float(rate.group(1))) if rate else 0,
        "p50": latencies.get("50"),
        "p99": latencies.get("99"),
        "errors": int(wrong.group(1)) if wrong else 0,
    }


def tell(text: str) -> None:
    """Tell the progress."""
    print(text, file=sys.stderr, flush=True)


@asynccontextmanager
async def measured_stack(directory: Path) -> AsyncIterator[Reads]:
    """A stack of its own with two posting workers, a windows worker and the API."""
    settings = Settings().model_copy(update={"kafka_bootstrap": None, "postgres_dsn": None})
    stack = EmbeddedStack(
        directory,
        settings=settings,
        preparations=(prepare, make_development_keys),
        programs=[*posting_workers(2), *windows_workers(1), api],
    )
    async with stack, aiohttp.ClientSession() as http:
        publisher = BatchPublisher(stack.kafka)
        await publisher.start()
        try:
            yield Reads(stack, publisher, http)
        finally:
            await publisher.stop()


async def main(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run on a stack of its own, which is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="ledger-reads-"))
    try:
        async with measured_stack(directory) as reads:
            return await reads.run(arguments.rate, arguments.seconds)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="transfers a second beside the windows")
    parser.add_argument("--seconds", type=int, default=30, help="length of each measurement")
    print(json.dumps(asyncio.run(main(parser.parse_args())), indent=2))
