"""The obvious way to build this, measured: stock Faust, a process of its own, a database transaction for each event."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from ledger.config import Settings, environment_name
from loadtests.bench.check import check_books
from loadtests.bench.cost import costs, spent
from loadtests.bench.references.watched import Beside
from loadtests.bench.references.writing import prepared, writer
from loadtests.bench.results import Measured
from loadtests.bench.stage import Stage
from loadtests.cpu import CpuMeter
from loadtests.workloads import named

CASE = "reference/stock_faust"
WORKER = "loadtests.bench.references.stock_worker"
LOOK_S = 0.1
WAIT_S = 60.0
_STOP_S = 20.0

_TOLD = ("kafka_bootstrap", "postgres_dsn", "postgres_schema", "payments_topic", "posting_group", "state_dir")
_DONE = "select count(*), min(posted_at), max(posted_at) from processed_events where posted_at >= $1"


class StockWorkerError(Exception):
    """The worker ended, or does nothing."""


async def measure(stage: Stage, events: int, seed: int, *, isolated: bool = False) -> Measured:
    """Have the worker post so many events of `uniform`; the rate is that of its own times, from first to last.

    `isolated`: an agent and a connection for each partition, so that they work side by side.
    """
    workload = named("uniform")
    ready = await prepared(stage, workload, events, seed)
    await stage.fill(ready.records)
    async with stage.connection() as looking:
        await looking.execute("checkpoint")
        async with writer(stage, ready.place) as writing:
            await writing.write(ready.preamble)
        before, begun = await costs(stage, looking), datetime.now(UTC)
        async with _worker(stage.settings, isolated) as process:
            meter = CpuMeter(Beside(stage, "stock", process.pid))
            await _posted(looking, process, begun, 1)
            meter.start()
            seconds = await _posted(looking, process, begun, events)
            meter.stop()
        cost = spent(before, await costs(stage, looking))
    return Measured(
        case=f"{CASE}@isolated" if isolated else CASE,
        rate=(events - 1) / seconds,
        seconds=seconds,
        events=events,
        cpu_s=meter.told(),
        cost=cost,
        checked=await check_books(stage, workload.expected(events, seed)),
        settings={"partitions": stage.settings.partitions, "isolated_partitions": isolated},
    )


@asynccontextmanager
async def _worker(settings: Settings, isolated: bool) -> AsyncIterator[asyncio.subprocess.Process]:
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    told = {environment_name(name): str(getattr(settings, name)) for name in _TOLD}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", WORKER),
        *(["--isolated"] if isolated else []),
        env=os.environ | told,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _posted(looking: Any, process: asyncio.subprocess.Process, begun: datetime, events: int) -> float:
    """Wait until so many are posted; gives the seconds from the first to the last. Raises StockWorkerError."""
    seen, moved = 0, asyncio.get_running_loop().time()
    while True:
        done, first, last = await looking.fetchrow(_DONE, begun)
        if done >= events:
            return float((last - first).total_seconds())
        now = asyncio.get_running_loop().time()
        if done > seen:
            seen, moved = done, now
        if process.returncode is not None or now - moved > WAIT_S:
            raise StockWorkerError(f"{done:,} of {events:,} events posted; exit {process.returncode}")
        await asyncio.sleep(LOOK_S)
