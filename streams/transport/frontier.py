"""The frontier of each partition: how far everything before it is done; pure, so that a simulation can run it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from aiokafka import TopicPartition

from streams.transport.chunk import Chunk


class Verdict(Enum):
    """What may be done with a chunk, judged at the moment when its partition's lane takes it."""

    JOINS = "it begins at or before the frontier and reaches past it: hand it to the handler"
    BELOW = "all of it was done before: skip it"
    STALE = "of a run that has ended, or of a partition that was taken away: skip it"
    GAP = "it begins after the frontier: what lies between was fetched and dropped, or has expired: seek"
    WENT_BACK = "it begins before its own run: the log was cut or made anew: seek, and take it as it is now"


@dataclass(slots=True)
class Frontier:
    """Where one partition stands."""

    run: int
    run_start: int
    offset: int
    committed: int | None
    advanced_at: float

    @property
    def uncommitted(self) -> bool:
        """A new group's frontier is committed even before it moves, so that it stays its beginning."""
        return self.offset != self.committed


class Frontiers:
    """The frontiers of the partitions that this worker holds now.

    Times are seconds of any clock that does not go back. Offsets are those of the next record.
    """

    def __init__(self) -> None:
        self._open = False
        self._frontiers: dict[TopicPartition, Frontier] = {}

    def open(self) -> None:
        """An assignment begins."""
        self._open = True

    def close(self) -> None:
        """The assignment is over, and its last commit made: forget it all."""
        self._open = False
        self._frontiers.clear()

    def start(self, place: TopicPartition, offset: int, committed: int | None, run: int, now: float) -> None:
        """A run begins at `offset`, before which everything is done; does nothing between two assignments."""
        if self._open:
            self._frontiers[place] = Frontier(run, offset, offset, committed, now)

    def restart(self, place: TopicPartition, offset: int, run: int, now: float) -> None:
        """A new run begins in the same assignment: after a gap, or because the log itself moved."""
        frontier = self._frontiers.get(place)
        if frontier is not None:
            self._frontiers[place] = Frontier(run, offset, offset, frontier.committed, now)

    def judge(self, chunk: Chunk) -> Verdict:
        """Say what may be done with a chunk. Only `JOINS` may reach the handler."""
        frontier = self._frontiers.get(chunk.place)
        if frontier is None or frontier.run != chunk.run:
            return Verdict.STALE
        if chunk.start_offset > frontier.offset:
            return Verdict.GAP
        if chunk.start_offset < frontier.run_start:
            return Verdict.WENT_BACK
        if chunk.end_offset <= frontier.offset:
            return Verdict.BELOW
        return Verdict.JOINS

    def advance(self, chunk: Chunk, now: float) -> bool:
        """Everything in a chunk that joined is done; false if the partition was lost or sought meanwhile."""
        frontier = self._frontiers.get(chunk.place)
        if frontier is None or frontier.run != chunk.run or chunk.end_offset <= frontier.offset:
            return False
        frontier.offset = chunk.end_offset
        frontier.advanced_at = now
        return True

    def to_commit(self) -> dict[TopicPartition, int]:
        """The offsets that Kafka does not know yet."""
        return {place: each.offset for place, each in self._frontiers.items() if each.uncommitted}

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Kafka knows these offsets now."""
        for place, offset in offsets.items():
            if place in self._frontiers:
                self._frontiers[place].committed = offset

    def get(self, place: TopicPartition) -> Frontier | None:
        """Where one partition stands; none if it is not held."""
        return self._frontiers.get(place)

    def held(self) -> Iterable[TopicPartition]:
        """The partitions held now, safe to go over while they change in another thread."""
        return tuple(self._frontiers)


class LostTails:
    """Finds chunks that were dropped with nothing after them: no later chunk will come to show the gap."""

    def __init__(self, frontiers: Frontiers) -> None:
        self._frontiers = frontiers
        self._suspected: dict[TopicPartition, tuple[int, int, int]] = {}

    def look(
        self, positions: Mapping[TopicPartition, int], busy: Callable[[TopicPartition], bool]
    ) -> list[TopicPartition]:
        """The partitions that stand as they stood at the last look: read beyond the frontier, and idle.

        `positions` are where fetching stands now. One look is not enough: a chunk may be on its way.
        """
        suspected = {}
        for place, position in positions.items():
            frontier = self._frontiers.get(place)
            if frontier is not None and position > frontier.offset and not busy(place):
                suspected[place] = (frontier.run, frontier.offset, position)
        lost = [place for place, seen in suspected.items() if self._suspected.get(place) == seen]
        self._suspected = suspected
        return lost
