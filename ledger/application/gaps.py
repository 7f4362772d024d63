"""Gaps: records that the books never saw and the stream has passed by; workers stop at them, people mend them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ledger.application.ports import Clock


class Remedy(StrEnum):
    """What leaves a gap behind."""

    REWIND = "rewind"
    """The log still holds the records: the consumer group goes back to them."""
    ACCEPT = "accept"
    """The log holds them no longer: the books go on without them."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Records of one partition, from `first` to before `next`."""

    topic: str
    partition: int
    first: int
    next: int
    remedy: Remedy

    @property
    def records(self) -> int:
        return self.next - self.first


@dataclass(frozen=True, slots=True)
class Stand:
    """Where one topic's books, log and consumer group stand, by partition."""

    topic: str
    books: Mapping[int, int]
    bounds: Mapping[int, tuple[int, int]]
    committed: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Who said that records are lost, when, and why."""

    why: str
    by: str
    at: datetime


class NoGapError(Exception):
    """There is nothing to accept."""


class GapHeldError(Exception):
    """The log still holds the records: nothing needs to be given up."""


class BooksMovedError(Exception):
    """The books have moved on since they were looked at."""


class GroupBusyError(Exception):
    """The consumer group has members; only they may move it."""


class BooksPositions(Protocol):
    """The books' own positions in the stream."""

    async def positions(self, topic: str) -> Mapping[int, int]:
        """The offset before which all is posted, by partition; nothing for those never seen."""
        ...

    async def accept(self, gap: Gap, acceptance: Acceptance) -> None:
        """Write the acceptance down and move past the gap, both or neither.

        Raises BooksMovedError unless the books stand at its first record.
        """
        ...


class Log(Protocol):
    """The topic itself."""

    topic: str

    async def bounds(self) -> Mapping[int, tuple[int, int]]:
        """The first and the next offset of each partition."""
        ...


class Group(Protocol):
    """The posting workers' consumer group."""

    async def committed(self, topic: str) -> Mapping[int, int]:
        """The next offset of each partition that it has a position in."""
        ...

    async def members(self) -> int: ...

    async def move(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Commit these positions; raises GroupBusyError while there are members."""
        ...


def gaps_of(stand: Stand) -> Iterator[Gap]:
    """Find the gaps; a partition can have two, of what is gone and then of what is passed by."""
    for partition, (begin, end) in sorted(stand.bounds.items()):
        # Books that have seen nothing of a partition stand where its log begins.
        books = stand.books.get(partition, begin)
        if books < begin:
            yield Gap(stand.topic, partition, books, begin, Remedy.ACCEPT)
        first, passed = max(books, begin), min(stand.committed.get(partition, 0), end)
        if first < passed:
            yield Gap(stand.topic, partition, first, passed, Remedy.REWIND)


class Gaps:
    """Finds gaps, and leaves them behind."""

    def __init__(self, books: BooksPositions, log: Log, group: Group, clock: Clock) -> None:
        self._books = books
        self._log = log
        self._group = group
        self._clock = clock

    async def find(self) -> Sequence[Gap]:
        """Look at the three positions; the group's before the books', which are never behind it."""
        topic = self._log.topic
        committed = await self._group.committed(topic)
        books = await self._books.positions(topic)
        return list(gaps_of(Stand(topic, books, await self._log.bounds(), committed)))

    async def accept(self, topic: str, partition: int, why: str, by: str) -> Gap:
        """Go on without records that the log no longer holds.

        Raises NoGapError, GapHeldError, and BooksMovedError.
        """
        found = [gap for gap in await self.find() if (gap.topic, gap.partition) == (topic, partition)]
        for gap in found:
            if gap.remedy is Remedy.ACCEPT:
                await self._books.accept(gap, Acceptance(why, by, self._clock.now()))
                return gap
        if found:
            raise GapHeldError(f"{topic}/{partition}: the log still holds the records that the books miss.")
        raise NoGapError(f"{topic}/{partition} has no gap.")

    async def rewind(self) -> Sequence[Gap]:
        """Move the group back to the records that the log still holds; gives the gaps that this closes.

        What it goes over again is recognised. Raises GroupBusyError.
        """
        if members := await self._group.members():
            raise GroupBusyError(f"the group has {members} member{'s' if members != 1 else ''}.")
        gaps = [gap for gap in await self.find() if gap.remedy is Remedy.REWIND]
        if gaps:
            await self._group.move(self._log.topic, {gap.partition: gap.first for gap in gaps})
        return gaps
