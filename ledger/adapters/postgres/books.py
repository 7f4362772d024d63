"""The books in PostgreSQL: a batch in one transaction, in as few round trips as it takes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import perf_counter

from ledger.adapters.postgres import reading, writing
from ledger.adapters.postgres.connection import end, transient_faults
from ledger.adapters.postgres.directory import BalanceRow, Directory, Tenant
from ledger.adapters.postgres.locking import Locking, Turn
from ledger.adapters.postgres.statements import column, numbers, sql
from ledger.adapters.postgres.types import Connection, Pool, Transaction
from ledger.application.faults import PositionGapError, TransientFaultError
from ledger.application.ports import Position
from ledger.contract.dead_letter import DeadLetter
from ledger.domain.account import BalanceKey
from ledger.domain.books import Books, EventKey, Needs
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier, Outcome
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals


class PostgresBooks:
    """A BookStore in PostgreSQL; one connection of `pool` for each unit of work."""

    def __init__(
        self,
        pool: Pool,
        *,
        auto_open: bool = True,
        remember: int = 200_000,
        signals: Signals | None = None,
    ) -> None:
        self._pool = pool
        self._signals = signals or Signals()
        self._directory = Directory(pool, auto_open=auto_open, remember=remember)
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator["PostgresUnitOfWork"]:
        asked = perf_counter()
        with transient_faults():
            connection = await self._pool.acquire()
        self._signals.emit("connection.given", pool="posting", seconds=perf_counter() - asked)
        turn = Turn(self._opening)
        try:
            with transient_faults():
                transaction = connection.transaction()
                await transaction.start()
            unit = PostgresUnitOfWork(connection, transaction, self._directory, turn)
            yield unit
            if not unit.ended:
                with transient_faults():
                    await transaction.rollback()
        except BaseException:
            end(connection)  # half-way through a statement or not, the server rolls it back
            raise
        finally:
            turn.end()
            with transient_faults():
                await self._pool.release(connection)

    async def begin(self, topic: str, first_offsets: Mapping[int, int]) -> None:
        with transient_faults():
            async with self._pool.acquire() as connection:
                await connection.execute(
                    sql("begin_offsets"), topic, list(first_offsets), list(first_offsets.values())
                )


class PostgresUnitOfWork:
    """One transaction over the books."""

    def __init__(
        self, connection: Connection, transaction: Transaction, directory: Directory, turn: Turn
    ) -> None:
        self._connection = connection
        self._turn = turn
        self._transaction = transaction
        self._directory = directory
        self._tenants: dict[str, Tenant] = {}
        self._oldest_id = ""
        self._made: Mapping[BalanceKey, BalanceRow] = {}
        self.ended = False

    async def claim(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        if not events:
            return {}
        with transient_faults():
            tenants = {event.tenant for event in events}
            self._tenants = await self._directory.tenants(self._connection, tenants)
            # In the order in which all claim, so that no two wait for each other in a ring.
            known = await self._claim(sorted(events, key=lambda event: (event.id, event.tenant)))
            self._oldest_id = await self._connection.fetchval(sql("find_horizon")) or ""
            crash_point("claimed")
            return known

    async def _claim(self, ordered: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        told = await self._connection.execute(sql("claim_events"), *self._claims(ordered))
        claimed = int(told.removeprefix("INSERT 0 "))
        if claimed == len(ordered):
            return {}
        known = await reading.find_processed(self._connection, self._tenants, ordered)
        if claimed + len(known) != len(ordered):
            # By chance a transaction of four thousand million before had the number that this one has.
            raise TransientFaultError("what was claimed and what was known are not all ids; beginning anew")
        return known

    async def lock(self, needs: Needs) -> Books:
        with transient_faults():
            locking = Locking(self._connection, self._directory, self._tenants, needs, self._turn)
            books = await locking.run()
            books.oldest_id = self._oldest_id
            return books

    def _claims(self, events: Sequence[Event]) -> list[str | Sequence[object]]:
        tenants = self._tenants
        return [
            "{" + ",".join([event.id for event in events]) + "}",
            column([tenants[event.tenant].id for event in events]),
            [event.fingerprint for event in events],
            column([event.type for event in events]),
            column([event.topic for event in events]),
            column([event.partition for event in events]),
            numbers([event.offset for event in events]),
        ]

    async def recall(self, events: Sequence[Event], earlier: Mapping[EventKey, Earlier]) -> list[Outcome]:
        with transient_faults():
            return await reading.recall(self._connection, self._tenants, events, earlier)

    async def write(
        self,
        books: Books,
        decided: Sequence[Outcome],
        at: Sequence[datetime],
        letters: Sequence[DeadLetter],
    ) -> None:
        with transient_faults():
            self._made = await writing.write(self._connection, self._tenants, books, decided, at, letters)

    async def advance(self, position: Position) -> None:
        at = (position.topic, position.partition)
        with transient_faults():
            moved = await self._connection.fetchval(sql("advance_offset"), *at, position.first, position.next)
            if moved is None:
                reached = await self._connection.fetchval(sql("find_offset"), *at)
                raise PositionGapError(*at, reached or 0, position.first)

    async def commit(self) -> None:
        crash_point("before_commit")
        with transient_faults():
            self.ended = True
            await self._transaction.commit()
        self._directory.learn_all(self._made)
        crash_point("committed")
