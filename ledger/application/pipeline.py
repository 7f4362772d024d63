"""Where the parts of the pipeline stand: the topic, who posts, the books, who makes windows; and how fast each goes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec


class PartitionStand(msgspec.Struct, frozen=True):
    """One partition of a topic: the first offset that is kept, the next to be written, and the next to be handled."""

    partition: int
    begin: int
    end: int
    committed: int | None
    """None: the group has no position in it."""

    @property
    def lag(self) -> int:
        """Count the records that are not handled; holes count too."""
        return max(0, self.end - max(self.begin, self.committed or 0))


class StreamStand(msgspec.Struct, frozen=True):
    """A topic, and the group that handles it."""

    topic: str
    group: str
    members: int
    partitions: Sequence[PartitionStand]
    oldest_waiting_at: datetime | None = None
    """When the oldest record was written that is not handled; None: none waits, or nobody knows."""

    @property
    def lag(self) -> int:
        return sum(each.lag for each in self.partitions)

    @property
    def written(self) -> int:
        return sum(each.end for each in self.partitions)

    @property
    def handled(self) -> int:
        return sum(each.end - each.lag for each in self.partitions)


class BooksStand(msgspec.Struct, frozen=True):
    """Where the books stand in their topic, by partition, and when they last moved."""

    positions: Mapping[int, int]
    moved_at: datetime | None


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """All of it at a moment; what could not be asked is None, and `faults` tells why."""

    at: datetime
    requests: float
    """Requests that this process has answered."""
    payments: StreamStand | None = None
    entries: StreamStand | None = None
    books: BooksStand | None = None
    faults: Mapping[str, str] = {}
    """By service, `postgres` or `kafka`: what it said."""


class Rates(msgspec.Struct, frozen=True):
    """Records or requests a second between two moments; None: not known."""

    written: float | None = None
    posted: float | None = None
    windowed: float | None = None
    requests: float | None = None


class StreamAskError(Exception):
    """Kafka did not tell where a topic and a group stand."""


class StreamWatch(Protocol):
    """Asks Kafka."""

    async def look(self, topic: str, group: str) -> StreamStand:
        """Tell how a topic and a group stand; raises StreamAskError."""
        ...


class BooksWatch(Protocol):
    """Asks the books."""

    async def look(self, topic: str) -> BooksStand:
        """Tell how far the books have come; raises TransientFaultError."""
        ...


def rates_between(before: Pipeline | None, after: Pipeline) -> Rates:
    """Work out what went by between two looks."""
    if before is None or (seconds := (after.at - before.at) / timedelta(seconds=1)) <= 0:
        return Rates()
    return Rates(
        _rate(_written(before.payments), _written(after.payments), seconds),
        _rate(_posted(before.books), _posted(after.books), seconds),
        _rate(_handled(before.entries), _handled(after.entries), seconds),
        _rate(before.requests, after.requests, seconds),
    )


def _written(stand: StreamStand | None) -> int | None:
    return None if stand is None else stand.written


def _handled(stand: StreamStand | None) -> int | None:
    return None if stand is None else stand.handled


def _posted(books: BooksStand | None) -> int | None:
    return None if books is None else sum(books.positions.values())


def _rate(before: float | None, after: float | None, seconds: float) -> float | None:
    return None if before is None or after is None else max(0.0, (after - before) / seconds)
