"""Positions of the posting workers' group, set back so that records are gone over again; never past the books."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from ledger.application.gaps import BooksPositions, Group, GroupBusyError
from ledger.application.ports import Clock
from ledger.contract.dead_letter import NotAnEventError, Record
from ledger.contract.decode import decode_record
from ledger.domain.ids import time_ms_of
from ledger.domain.moments import milliseconds


@dataclass(frozen=True, slots=True)
class To:
    """Where to: to where the books stand, unless to where the log begins, or to what it took at or after a time."""

    beginning: bool = False
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """One partition's position before and after; None: it had none."""

    topic: str
    partition: int
    before: int | None
    after: int


class NoPartitionError(Exception):
    """The topic has no such partition."""


class ForgottenError(Exception):
    """The books no longer know the ids of what would be gone over again."""


class TimedLog(Protocol):
    """The topic of payments."""

    topic: str

    async def bounds(self) -> Mapping[int, tuple[int, int]]:
        """Give the first and the next offset of each partition."""
        ...

    async def offsets_at(self, time_ms: int) -> Mapping[int, int]:
        """Give, by partition, the first offset taken at or after a time; the end where there is none."""
        ...

    def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """Read records of a partition from `first` to before `end`."""
        ...


class ResetPositions:
    """Moves the group while it has no members."""

    def __init__(
        self, books: BooksPositions, log: TimedLog, group: Group, clock: Clock, horizon: timedelta
    ) -> None:
        self._books = books
        self._log = log
        self._group = group
        self._clock = clock
        self._horizon = horizon

    async def plan(self, to: To, partitions: Collection[int] = ()) -> Sequence[Move]:
        """Say which positions would move; raises GroupBusyError, NoPartitionError and ForgottenError."""
        if members := await self._group.members():
            raise GroupBusyError(f"the group has {members} member{'s' if members != 1 else ''}.")
        topic = self._log.topic
        committed, books = await self._group.committed(topic), await self._books.positions(topic)
        bounds = await self._log.bounds()
        if missing := sorted(set(partitions) - bounds.keys()):
            raise NoPartitionError(f"{topic} has no partition {missing[0]}: it has {len(bounds)}.")
        wanted = await self._wanted(to, bounds)
        moves = []
        for at, (begin, end) in sorted(bounds.items()):
            stand = books.get(at, begin)
            move = Move(topic, at, committed.get(at), max(begin, min(end, stand, wanted.get(at, stand))))
            if (not partitions or at in partitions) and move.before != move.after:
                moves.append(move)
        await self._refuse_forgotten(moves, books)
        return moves

    async def __call__(self, to: To, partitions: Collection[int] = ()) -> Sequence[Move]:
        """Move them; raises as `plan` does, and GroupBusyError if a worker joins meanwhile."""
        moves = await self.plan(to, partitions)
        if moves:
            await self._group.move(self._log.topic, {move.partition: move.after for move in moves})
        return moves

    async def _wanted(self, to: To, bounds: Mapping[int, tuple[int, int]]) -> Mapping[int, int]:
        if to.beginning:
            return {at: begin for at, (begin, _) in bounds.items()}
        return {} if to.since is None else await self._log.offsets_at(milliseconds(to.since))

    async def _refuse_forgotten(self, moves: Sequence[Move], books: Mapping[int, int]) -> None:
        """What was posted so long ago that its id is dropped would be refused now, and told so to everyone."""
        oldest = milliseconds(self._clock.now() - self._horizon)
        remembered = await self._log.offsets_at(oldest)
        for move in moves:
            end = books.get(move.partition, move.after)
            known = min(remembered[move.partition], end)
            if move.after < known:
                raise ForgottenError(
                    f"{move.topic}/{move.partition}: what lies before offset {known} is older than the "
                    f"{self._horizon.days} days for which ids are known."
                )
            await self._refuse_old_ids(move, end, oldest)

    async def _refuse_old_ids(self, move: Move, end: int, oldest: int) -> None:
        """An id may be far older than its record, and was not too old when it came."""
        if move.after >= end:
            return
        horizon_ms = self._horizon // timedelta(milliseconds=1)
        async for records in self._log.read(move.partition, move.after, end):
            for record in records:
                id_ms = _id_time(record)
                if id_ms is not None and (record.timestamp_ms or 0) - horizon_ms <= id_ms < oldest:
                    raise ForgottenError(
                        f"{move.topic}/{move.partition}: the event at offset {record.offset} has an id older than "
                        f"the {self._horizon.days} days for which ids are known."
                    )


def _id_time(record: Record) -> int | None:
    try:
        return time_ms_of(decode_record(record).id)
    except NotAnEventError:
        return None
