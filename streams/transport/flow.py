"""What the parts of one chunked app share: its frontiers, its lanes, and what its handlers wait for."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from aiokafka import TopicPartition

from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.transport.frontier import Frontiers


class Lanes(Protocol):
    """What the transport asks of the lanes."""

    def has_room(self, place: TopicPartition) -> bool:
        """Whether one more chunk of this partition may be fetched."""
        ...

    def is_busy(self, place: TopicPartition) -> bool:
        """Whether a chunk of this partition runs or waits."""
        ...

    def drop_waiting(self) -> None:
        """Give up the chunks that wait: they will come again."""
        ...


class Flow:
    """One app's chunked flow; made by `chunked_app`, found as `app.flow`."""

    def __init__(
        self, settings: Settings, signals: Signals, topics: Iterable[str], changelogs: Iterable[str] = ()
    ) -> None:
        self.settings = settings
        self.signals = signals
        self.topics = frozenset(topics)
        self.changelogs = frozenset(changelogs)
        """Topics that Faust recovers tables from; they come in chunks as well, and have no frontier."""
        self.frontiers = Frontiers()
        self.lanes: list[Lanes] = []
        self._waits: Counter[str] = Counter()
        self._waits_lock = Lock()  # the watchdog looks from a thread of its own

    def has_room(self, place: TopicPartition) -> bool:
        """Whether every lane that could get the partition's next chunk can keep it waiting."""
        return all(lanes.has_room(place) for lanes in self.lanes)

    def is_busy(self, place: TopicPartition) -> bool:
        """Whether any lane works on the partition."""
        return any(lanes.is_busy(place) for lanes in self.lanes)

    def drop_waiting(self) -> None:
        """The partitions may be taken away: finish what runs, start nothing more."""
        for lanes in self.lanes:
            lanes.drop_waiting()

    @contextmanager
    def waiting_for(self, reason: str) -> Iterator[None]:
        """Say that a handler waits for something outside (`postgres`): the watchdog then stays its hand."""
        self._count_wait(reason, 1)
        try:
            yield
        finally:
            self._count_wait(reason, -1)

    def _count_wait(self, reason: str, change: int) -> None:
        with self._waits_lock:
            self._waits[reason] += change

    def waits(self) -> tuple[str, ...]:
        """What handlers wait for now; for the watchdog and for the worker's health."""
        with self._waits_lock:
            return tuple(sorted(reason for reason, count in self._waits.items() if count > 0))
