"""Checkpoints: what was merged is written to the changelog and the table, and only then the frontiers may move."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import NamedTuple, Protocol
from uuid import uuid4

from aiokafka import TopicPartition

from ledger.config import Settings
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals
from streams.transport.publisher import Appended, Outgoing
from streams.windows.book import WindowBook
from streams.windows.keys import EDITION_KEY
from streams.windows.shelf import Changes, Shelf
from streams.windows.stores import Store

LOOK_S = 0.05


class Publisher(Protocol):
    """What writes the changelog."""

    async def publish_to(self, place: TopicPartition, records: list[Outgoing]) -> Appended:
        """Write records in order, and return when all replicas have them."""
        ...


class Pace(Protocol):
    """What decides whether waiting for more is worth it."""

    def is_stopping(self) -> bool:
        """Whether the flow has stopped, for a rebalance or for good: nothing more will come."""
        ...

    def backlog(self, waiting: Mapping[int, int]) -> int:
        """How many records the fullest waiting lane holds back, by the end of its chunk; 0 while others still merge."""
        ...


class Waiter(NamedTuple):
    """A chunk that is merged and waits for its checkpoint."""

    partition: int
    end_offset: int
    records: int
    done: asyncio.Future[None]


class Writing(NamedTuple):
    """What a checkpoint writes of a partition."""

    partition: int
    shelf: Shelf
    changes: Changes


class Checkpoints:
    """Writes all partitions together, one checkpoint at a time; `run` does it until cancelled.

    First the values are written and acknowledged, then the tombstones of what went into them, then the table. A
    crash anywhere repeats some of that, which changes nothing.
    """

    def __init__(
        self,
        book: WindowBook,
        store: Callable[[], Store],
        publisher: Publisher,
        pace: Pace,
        settings: Settings,
        signals: Signals,
    ) -> None:
        self._book = book
        self._store = store
        self._publisher = publisher
        self._pace = pace
        self._settings = settings
        self._signals = signals
        self._waiters: list[Waiter] = []
        self._came = asyncio.Event()
        self._began_at = 0.0
        self._writing: asyncio.Task[None] | None = None
        self._abandoned = False
        self._interrupted: set[int] = set()

    async def contains(self, partition: int, end_offset: int, records: int) -> None:
        """Wait until a checkpoint has everything that was merged of a partition until now."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(Waiter(partition, end_offset, records, done))
        self._came.set()
        await done

    async def run(self) -> None:
        """Write checkpoints as they fall due, until cancelled."""
        while True:
            await self._came.wait()
            # What makes it due, time and what Kafka has to read, wakes nobody: so look.
            while not self._is_due():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
            self._writing = asyncio.create_task(self.write())
            try:
                await self._writing
            except asyncio.CancelledError:
                if not self._abandoned:
                    raise
            finally:
                self._writing.cancel()
                self._abandoned = False

    def abandon(self) -> None:
        """The partitions may have gone to others: write no more of what was merged until now. It comes again."""
        self._interrupted.clear()
        for waiter in self._waiters:
            waiter.done.cancel()
        self._waiters.clear()
        if self._writing is not None and not self._writing.done():
            self._abandoned = True
            self._writing.cancel()

    def _is_due(self) -> bool:
        settings = self._settings
        if monotonic() - self._began_at >= settings.windows_checkpoint_ms / 1000 or self._pace.is_stopping():
            return True
        if sum(waiter.records for waiter in self._waiters) >= settings.windows_checkpoint_records:
            return True
        waiting = {waiter.partition: waiter.end_offset for waiter in self._waiters}
        return self._pace.backlog(waiting) >= settings.windows_chunk_records_max

    async def write(self) -> None:
        """Write one checkpoint, and let go on what waits for it."""
        self._began_at = started = monotonic()
        self._came.clear()
        waiters, self._waiters = self._waiters, []
        crash_point("before_checkpoint")
        aged = 0
        writings: list[Writing] = []
        for partition, shelf in self._book.shelves():
            aged += shelf.age()
            writings.append(Writing(partition, shelf, shelf.take_off()))
            await asyncio.sleep(0)
        try:
            await asyncio.gather(*(self._write(writing) for writing in writings))
        except asyncio.CancelledError:
            for waiter in waiters:
                waiter.done.cancel()
            raise
        for waiter in waiters:
            if not waiter.done.done():
                waiter.done.set_result(None)
        self._signals.emit(
            "checkpoint.written",
            records=sum(waiter.records for waiter in waiters),
            keys=sum(len(writing.changes.values) for writing in writings),
            tombstones=sum(len(writing.changes.gone) for writing in writings),
            aged=aged,
            seconds=monotonic() - started,
        )

    async def _write(self, writing: Writing) -> None:
        partition, shelf, (values, gone) = writing
        if values or gone:
            values = self._with_edition(partition, values)
            # One after the other: nothing may be gone before what took it over is safe.
            appended = [
                await self._publish(partition, records)
                for records in (list(values.items()), [(key, None) for key in gone])
                if records
            ]
            crash_point("checkpoint_written")
            if self._book.shelf(partition) is shelf:
                offset = self._joined(partition, appended, len(values) + len(gone))
                self._store().write(partition, values, gone, offset)
        shelf.landed()

    def _with_edition(self, partition: int, values: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """The first record of a changelog says which making of it this is."""
        if self._store().find(partition)(EDITION_KEY) is not None:
            return values
        return {EDITION_KEY: uuid4().bytes, **values}

    async def _publish(self, partition: int, records: Sequence[tuple[bytes, bytes | None]]) -> Appended:
        topic = self._settings.windows_topic
        return await self._publisher.publish_to(
            TopicPartition(topic, partition), [Outgoing(topic, key, value) for key, value in records]
        )

    def _joined(self, partition: int, appended: list[Appended], records: int) -> int | None:
        """Give the offset up to which the table has all of the changelog; None where others wrote in between.

        Then it stays where it was: the next recovery reads from there, and merges.
        """
        before = self._store().offset(partition)
        first, last = appended[0].first, appended[-1].last
        if first == (0 if before is None else before + 1) and last - first + 1 == records:
            return last
        if partition not in self._interrupted:
            self._interrupted.add(partition)
            self._signals.emit("changelog.interrupted", partition=partition, offset=before, first=first)
        return None
