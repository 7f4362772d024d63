"""Writes prepared batches into the books by the fewest and cheapest statements, over one connection."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from time import perf_counter, time_ns
from typing import Any, NamedTuple

from ledger.application.meanwhile import meanwhile
from loadtests.bench.references.prepared import (
    CLAIM_COLUMNS,
    ENTRY_COLUMNS,
    TRANSACTION_COLUMNS,
    Batch,
    Packer,
    Place,
    Preparer,
    Values,
    chunked,
)
from loadtests.bench.references.standing import open_accounts
from loadtests.bench.stage import Stage
from loadtests.workloads import Record, Workload
from streams.transport.partitioning import Partitioner

_TEMPORARY = "create temp table claims (like processed_events) on commit delete rows"
_CLAIM = """
    insert into processed_events select * from claims on conflict (event_id, tenant_id) do nothing
"""
_UPDATE = """
    update balances b set posted_debits = k.debits, posted_credits = k.credits, version = k.version, last_posted_at = $6
    from unnest($2::text::bigint[], $3::text::bigint[], $4::text::bigint[], $5::text::bigint[])
        as k (balance_id, debits, credits, version)
    where b.tenant_id = $1 and b.balance_id = k.balance_id
"""


class Claiming(StrEnum):
    """How ids are claimed."""

    COPY = "copy"
    INSERT = "insert"


class ClaimedBeforeError(Exception):
    """An id of the workload was in the books already."""


class Prepared(NamedTuple):
    """A workload before it is run: its records, and the batches that they make after those of the preamble."""

    place: Place
    records: list[Record]
    preamble: list[Values]
    batches: list[Values]


async def prepared(stage: Stage, workload: Workload, events: int, seed: int) -> Prepared:
    """Open the accounts of a workload of transfers, and work out all batches."""
    at_ms = time_ns() // 1_000_000
    preamble = list(workload.preamble(seed, at_ms))
    records = list(workload.records(events, seed, at_ms))
    place, rows = await open_accounts(stage, chain(preamble, records))
    preparer = Preparer(rows)
    choose = Partitioner().chooser(place.topic, stage.settings.partitions)
    size, begun = stage.settings.batch_records_max, datetime.now(UTC)
    first, then = (
        [
            preparer.values(chunk, begun + timedelta(milliseconds=number))
            for number, chunk in enumerate(chunked(some, choose, size))
        ]
        for some in (preamble, records)
    )
    return Prepared(place, records, first, then)


@asynccontextmanager
async def writer(stage: Stage, place: Place, claiming: Claiming = Claiming.COPY) -> AsyncIterator["Writer"]:
    """Connect, ready to write."""
    async with stage.connection() as connection:
        await connection.execute(_TEMPORARY)
        claim, update = await connection.prepare(_CLAIM), await connection.prepare(_UPDATE)
        yield Writer(connection, place, claim if claiming is Claiming.INSERT else None, update)


class Writer:
    """Writes batches, one transaction each; `steps_s` are the seconds of each step, by the client's clock.

    That of packing is in that of entries, but for the first batch.
    """

    def __init__(self, connection: Any, place: Place, claim: Any, update: Any) -> None:
        self._connection = connection
        self._packer = Packer(place)
        self._tenant = place.tenant_id
        self._claim_statement = claim
        self._update = update
        self.steps_s: dict[str, float] = defaultdict(float)

    async def write(self, batches: Sequence[Values | Batch]) -> None:
        """Write batches in their order; raises ClaimedBeforeError, UniqueViolationError.

        What is not packed is packed while the server writes the entries of the batch before, which takes it longer.
        """
        following = iter(batches)
        batch = self._next(following)
        while batch is not None:
            batch = await self._write(batch, following)

    def _next(self, following: Iterator[Values | Batch]) -> Batch | None:
        batch = next(following, None)
        return batch if batch is None or isinstance(batch, Batch) else self.packed(batch)

    def packed(self, values: Values) -> Batch:
        """Pack a batch."""
        begun = perf_counter()
        batch = self._packer.batch(values)
        self.steps_s["pack"] += perf_counter() - begun
        return batch

    async def _write(self, batch: Batch, following: Iterator[Values | Batch]) -> Batch | None:
        """Write a batch, and give the next."""
        async with self._step("begin"):
            await self._connection.execute("begin")
        async with self._step("claim"):
            await self._claim(batch)
        async with self._step("transactions"):
            await self._copy("transactions", batch.transactions, TRANSACTION_COLUMNS)
        entries = self._copy("entries", batch.entries, ENTRY_COLUMNS)
        async with self._step("entries"), meanwhile(entries):
            packed = self._next(following)
        async with self._step("balances"):
            await self._update.fetch(self._tenant, *batch.balances, batch.posted_at)
        async with self._step("commit"):
            await self._connection.execute("commit")
        return packed

    async def _claim(self, batch: Batch) -> None:
        if self._claim_statement is None:
            await self._copy("processed_events", batch.claims, CLAIM_COLUMNS)
            return
        await self._copy("claims", batch.claims, CLAIM_COLUMNS)
        await self._claim_statement.fetch()
        done = self._claim_statement.get_statusmsg()
        if done != f"INSERT 0 {batch.events}":
            raise ClaimedBeforeError(f"{done} of {batch.events}")

    async def _copy(self, table: str, rows: bytearray, columns: tuple[str, ...]) -> None:
        await self._connection.copy_to_table(table, source=rows, columns=columns, format="binary")

    @asynccontextmanager
    async def _step(self, name: str) -> AsyncIterator[None]:
        begun = perf_counter()
        yield
        self.steps_s[name] += perf_counter() - begun
