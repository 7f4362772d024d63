"""How fast history is replayed: into a schema of its own, and into the live books, against posting in the same run.

`python -m loadtests.replays [--events 1000000]`; exit 1 if a digest differs, a replay changes anything, or one is
slower than it should be. The topic is filled first, so posting is measured at its highest rate. Then live traffic is
sent at a steady rate, alone and beside rebuilds. All of it shares this machine.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import asyncpg

from ledger.config import Settings, environment_name
from loadtests.live_traffic import LiveTraffic
from loadtests.replay_load import transfers
from streams.embedded.stack import EmbeddedStack
from streams.prepare import prepare
from streams.transport.publisher import BatchPublisher

AT_ONCE = 20_000
LOOK_S = 0.1
STARTING_S = 5.0
REBUILD_AT_LEAST, LIVE_AT_LEAST = 0.8, 2.0
"""Of the rate of posting."""
TRAFFIC_S, TRAFFIC_SECONDS = 300.0, 20.0
RATES = (500, 2000, 0)
_HANDLED = "select coalesce(sum(next_offset), 0)::bigint from stream_offsets"


class Bench:
    """One filled topic, a worker that posts it, and replays of it."""

    def __init__(self, stack: EmbeddedStack, directory: Path) -> None:
        self._stack = stack
        self._directory = directory
        told = {
            "kafka_bootstrap": stack.kafka,
            "postgres_dsn": stack.postgres_dsn,
            "state_dir": str(directory),
            "log_level": "warning",
        }
        self._environment = os.environ | {environment_name(name): value for name, value in told.items()}

    async def fill(self, count: int) -> None:
        """Write the topic."""
        publisher, chance = BatchPublisher(self._stack.kafka), Random(1)
        await publisher.start()
        try:
            for done in range(0, count, AT_ONCE):
                some = transfers(self._stack.settings.payments_topic, min(AT_ONCE, count - done), chance)
                await publisher.publish(some)
                tell(f"{done + len(some):,} of {count:,} written")
        finally:
            await publisher.stop()

    async def post(self, count: int) -> float:
        """Have a worker post all of it; gives the seconds from the first that was handled to the last."""
        worker = await self._ledger("worker", "post-events")
        connection = await asyncpg.connect(
            self._stack.postgres_dsn,
            server_settings={"search_path": self._stack.settings.postgres_schema},
        )
        begun, told = 0.0, monotonic()
        first = await connection.fetchval(_HANDLED)
        try:
            while (handled := await connection.fetchval(_HANDLED)) < count:
                begun = begun or (monotonic() if handled > first else 0.0)
                if monotonic() - told > 10:
                    tell(f"{handled:,} posted")
                    told = monotonic()
                if worker.returncode is not None:
                    raise RuntimeError(f"the worker ended with {worker.returncode}")
                await asyncio.sleep(LOOK_S)
            return monotonic() - begun
        finally:
            await connection.close()
            await _end(worker, signal.SIGTERM)

    async def replay(self, *arguments: str) -> tuple[float, dict[str, Any]]:
        """Run a replay; gives its seconds, start and proof included, and its report."""
        begun = monotonic()
        replay = await self._ledger("replay", *arguments, "--json", stdout=asyncio.subprocess.PIPE)
        said, _ = await replay.communicate()
        if replay.returncode not in (0, 1):
            raise RuntimeError(f"the replay ended with {replay.returncode}")
        report: dict[str, Any] = json.loads(said)
        return monotonic() - begun, report | {"exit": replay.returncode}

    async def beside(self, rate: int | None) -> dict[str, float]:
        """Send live traffic while history is rebuilt at a rate (0: any; None: not at all); gives its latencies."""
        settings = self._stack.settings
        worker = await self._ledger("worker", "post-events")
        arguments = ("replay", "--into", f"beside_{rate}", "--rate", str(rate), "--json")
        try:
            async with LiveTraffic.open(self._stack.kafka, settings) as traffic:
                await traffic.run(TRAFFIC_S, STARTING_S)
                replay = rate is not None and await self._ledger(
                    *arguments, stdout=asyncio.subprocess.DEVNULL
                )
                found = await traffic.run(TRAFFIC_S, TRAFFIC_SECONDS)
                if replay:
                    await _end(replay, signal.SIGINT)
            return found
        finally:
            await _end(worker, signal.SIGTERM)

    async def _ledger(self, *arguments: str, stdout: int | None = None) -> asyncio.subprocess.Process:
        command = (sys.executable, "-m", "streams.cli", *arguments)
        return await asyncio.create_subprocess_exec(
            *command, env=self._environment, cwd=self._directory, stdout=stdout
        )


async def _end(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        process.send_signal(number)
    await process.wait()


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Start servers of its own, which are removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="ledger-replays-"))
    settings = Settings().model_copy(update={"kafka_bootstrap": None, "postgres_dsn": None})
    try:
        async with EmbeddedStack(directory, settings=settings, preparations=(prepare,)) as stack:
            yield Bench(stack, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def main(given: argparse.Namespace) -> dict[str, Any]:
    """Fill, post, rebuild, replay."""
    count = given.events
    async with bench() as own:
        await own.fill(count)
        posting_s = await own.post(count)
        tell(f"posted at {count / posting_s:,.0f}/s")
        rebuild_s, rebuilt = await own.replay("--into", "rebuilt")
        tell(f"rebuilt at {count / rebuild_s:,.0f}/s")
        live_s, live = await own.replay("--live", "--yes", "--why", "a benchmark")
        tell("live traffic beside rebuilds")
        beside = {_rate_name(rate): await own.beside(rate) for rate in (None, *RATES)}
    as_fast = posting_s / rebuild_s >= REBUILD_AT_LEAST and posting_s / live_s >= LIVE_AT_LEAST
    return {
        "ok": rebuilt["exit"] == live["exit"] == 0 and as_fast,
        "events": count,
        "posting_s": round(count / posting_s),
        "rebuild_s": round(count / rebuild_s),
        "rebuild_of_posting": round(posting_s / rebuild_s, 2),
        "live_s": round(count / live_s),
        "live_of_posting": round(posting_s / live_s, 2),
        "traffic_beside": beside,
        "rebuilt": rebuilt,
        "live": live,
    }


def _rate_name(rate: int | None) -> str:
    return "alone" if rate is None else f"rebuild at {rate}/s" if rate else "rebuild as fast as it can"


def tell(text: str) -> None:
    """Tell the progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    found = asyncio.run(main(parser.parse_args()))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    sys.exit(not found["ok"])
