"""What pgbench measures on the same server: TPC-B-like, one transaction an event, in a database of its own.

Its transaction is three updates, an insert and a select: the work of one payment done a call at a time, by a client
in C. More clients share commits, as a ledger with one call a transfer would.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from loadtests.bench.references.watched import Beside
from loadtests.bench.results import Measured
from loadtests.bench.stage import Stage
from loadtests.cpu import CpuMeter
from streams.embedded.postgres import programs

CASE = "reference/pgbench"
SCALE = 10
"""A million accounts, and ten branches: more than clients, or these would only wait for each other."""

_DONE = re.compile(r"number of transactions actually processed: (\d+)")
_RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_SUMS = """
    select (select coalesce(sum(abalance), 0) from pgbench_accounts) as accounts,
           (select coalesce(sum(tbalance), 0) from pgbench_tellers) as tellers,
           (select coalesce(sum(bbalance), 0) from pgbench_branches) as branches,
           (select coalesce(sum(delta), 0) from pgbench_history) as history,
           (select count(*) from pgbench_history) as transactions
"""


class Way(NamedTuple):
    """How pgbench is run: clients at a time, and the protocol of its queries."""

    clients: int = 2
    protocol: str = "simple"
    scale: int = SCALE

    @property
    def case(self) -> str:
        return f"{CASE}@{self.clients}" + ("" if self.protocol == "simple" else f"-{self.protocol}")


class PgbenchError(Exception):
    """pgbench failed; the message is what it said."""


async def measure(stage: Stage, events: int, seed: int, way: Way | None = None) -> Measured:
    """Run about so many transactions: the same number for each client."""
    chosen = way or Way()
    async with _database(stage) as dsn:
        async with _pgbench(dsn, "--initialize", "--quiet", f"--scale={chosen.scale}") as process:
            await _said(process)
        async with (
            _pgbench(dsn, *_options(chosen, events, seed)) as process,
            CpuMeter(Beside(stage, "pgbench", process.pid)).running() as meter,
        ):
            said = await _said(process)
        done, rate = int(_found(_DONE, said)), float(_found(_RATE, said))
        checked = await _check(dsn, done)
    return Measured(
        case=chosen.case,
        rate=rate,
        seconds=done / rate,
        events=done,
        cpu_s=meter.told(),
        checked=checked,
        settings=chosen._asdict(),
    )


@asynccontextmanager
async def _database(stage: Stage) -> AsyncIterator[str]:
    """Make a database beside that of the books, which is dropped afterwards; gives its address."""
    name = f"{stage.settings.postgres_schema}_pgbench"
    parts = urlsplit(stage.servers.postgres_dsn)
    async with stage.connection() as connection:
        await connection.execute(f'create database "{name}"')
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            await connection.execute(f'drop database "{name}" with (force)')


def _options(way: Way, events: int, seed: int) -> list[str]:
    return [
        "--builtin=tpcb-like",
        "--no-vacuum",
        f"--client={way.clients}",
        f"--jobs={min(way.clients, os.cpu_count() or 1)}",
        f"--protocol={way.protocol}",
        f"--transactions={max(1, events // way.clients)}",
        f"--random-seed={seed}",
    ]


@asynccontextmanager
async def _pgbench(dsn: str, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start it; it is ended with the block."""
    process = await asyncio.create_subprocess_exec(
        str(programs() / "pgbench"),
        *options,
        dsn,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _said(process: asyncio.subprocess.Process) -> str:
    """Wait for its end, and give what it said; raises PgbenchError."""
    said, complained = await process.communicate()
    if process.returncode:
        raise PgbenchError(complained.decode(errors="replace").strip())
    return said.decode()


def _found(pattern: re.Pattern[str], said: str) -> str:
    match = pattern.search(said)
    if match is None:
        raise PgbenchError(f"pgbench says nothing of {pattern.pattern!r}: {said}")
    return match[1]


async def _check(dsn: str, done: int) -> list[str]:
    """Its own books: all sums are the same, and there is a line of history for each transaction."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn)
    try:
        found = dict((await connection.fetch(_SUMS))[0])
    finally:
        await connection.close()
    transactions = found.pop("transactions")
    return [
        *([] if len(set(found.values())) == 1 else [f"the sums differ: {found}"]),
        *([] if transactions == done else [f"{transactions:,} lines of history, {done:,} transactions"]),
    ]
