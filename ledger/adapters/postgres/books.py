"""The books in PostgreSQL: a batch in one transaction, in as few round trips as it takes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import perf_counter

from ledger.adapters.postgres import reading, writing
from ledger.adapters.postgres.connection import end, transient_faults
from ledger.adapters.postgres.directory import Directory, Tenant
from ledger.adapters.postgres.locking import Locking, Turn
from ledger.adapters.postgres.statements import column, sql
from ledger.adapters.postgres.types import Connection, Pool, Transaction
from ledger.application.faults import PositionGapError, TransientFaultError
from ledger.application.ports import Position
from ledger.contract.dead_letter import DeadLetter
from ledger.domain.account import Balance
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
        self._books = Books()
        self._locking: Locking | None = None
        self._made: list[Balance] = []
        self.ended = False

    async def lock(self, needs: Needs) -> Books:
        with transient_faults():
            self._tenants = await self._directory.tenants(self._connection, needs.tenants)
            self._locking = Locking(self._connection, self._directory, self._tenants, needs, self._turn)
            self._books = await self._locking.run()
            if self._directory.oldest_id is None:
                self._directory.oldest_id = await self._oldest_id()
            self._books.oldest_id = self._directory.oldest_id
            return self._books

    async def _oldest_id(self) -> str:
        return await self._connection.fetchval(sql("find_horizon")) or ""

    async def claim(self, events: Sequence[Event], at: Sequence[datetime]) -> Mapping[EventKey, Earlier]:
        if not events:
            return {}
        with transient_faults():
            ordered, moments = _in_order(events, at)
            repeats = await self._connection.fetch(sql("claim_events"), *self._claims(ordered, moments))
            await self._check_oldest_id()
            crash_point("claimed")
            if not repeats:
                return {}
            await self._refuse_news()
            again = [ordered[row["ordinal"] - 1] for row in repeats]
            return await reading.find_processed(self._connection, self._tenants, again)

    async def claim_new(self, events: Sequence[Event], at: Sequence[datetime]) -> bool:
        if not events:
            return True
        with transient_faults():
            claims = self._claims(*_in_order(events, at))
            told = await self._connection.execute(sql("claim_new_events"), *claims)
            await self._check_oldest_id()
            if told != f"INSERT 0 {len(events)}":
                return False
            crash_point("claimed")
            return True

    async def _check_oldest_id(self) -> None:
        """Start anew where ids that were still known before this batch are not known any more, or are again."""
        oldest_id = await self._oldest_id()
        if oldest_id != self._books.oldest_id:
            self._directory.oldest_id = oldest_id
            raise TransientFaultError("the oldest id that is still known has moved; deciding anew")

    async def _refuse_news(self) -> None:
        """Start anew where a worker that is late committed some of these events after the locks were taken.

        What follows on them must see what they did, but a lock shows nothing of rows that were not there yet.
        """
        if self._locking is not None and await self._locking.has_news():
            raise TransientFaultError("another worker has posted some of these events; deciding anew")

    def _claims(self, events: Sequence[Event], moments: Sequence[datetime]) -> list[Sequence[object]]:
        tenants = self._tenants
        return [
            [event.id for event in events],
            column([tenants[event.tenant].id for event in events]),
            [event.fingerprint for event in events],
            column([event.type for event in events]),
            column([event.topic for event in events]),
            column([event.partition for event in events]),
            [event.offset for event in events],
            column(moments),
        ]

    async def recall(self, events: Sequence[Event], earlier: Mapping[EventKey, Earlier]) -> list[Outcome]:
        with transient_faults():
            return await reading.recall(self._connection, self._tenants, events, earlier)

    async def write(self, books: Books, decided: Sequence[Outcome], letters: Sequence[DeadLetter]) -> None:
        with transient_faults():
            self._made = await writing.write(self._connection, self._tenants, books, decided, letters)

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
        self._directory.learn_from(self._made)
        crash_point("committed")


def _in_order(events: Sequence[Event], at: Sequence[datetime]) -> tuple[Sequence[Event], Sequence[datetime]]:
    """Give events with their times in the order in which all claim: that of their ids."""
    dated = sorted(zip(events, at, strict=True), key=lambda each: (each[0].id, each[0].tenant))
    return [event for event, _ in dated], [moment for _, moment in dated]
