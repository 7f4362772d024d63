"""A windows worker without Kafka: its real book and checkpoints over lists for the stream and for the changelog."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import TopicPartition

from ledger.config import Settings
from ledger.domain.aging import Retention
from ledger.observability.signals import Signals
from streams.transport.chunk import Chunk
from streams.transport.publisher import Appended, Outgoing
from streams.windows.book import WindowBook
from streams.windows.checkpoints import Checkpoints
from streams.windows.entries import Seen
from streams.windows.reach import Told
from streams.windows.shelf import Find
from streams.windows.stores import Recovering
from tests.window_history import Entry

SETTINGS = Settings.model_validate({"kafka_bootstrap": "nowhere:9092"})
HOUR_S, DAY_S = 3600, 86_400
KEPT = Retention(minutes_s=HOUR_S, hours_s=3 * DAY_S, days_s=20 * DAY_S)

Changelog = list[tuple[bytes, bytes | None]]


class CrashedError(Exception):
    """The process ended here."""


class DictStore:
    """A Store of one partition, recovered from a list."""

    def __init__(self) -> None:
        self._held: dict[bytes, bytes] = {}
        self._offset: int | None = None
        self._recovering = Recovering()

    def find(self, partition: int) -> Find:
        return self._held.get

    def contents(self, partition: int) -> Iterable[tuple[bytes, bytes]]:
        return self._held.items()

    def offset(self, partition: int) -> int | None:
        return self._offset

    def write(
        self, partition: int, values: Mapping[bytes, bytes], gone: Collection[bytes], offset: int | None
    ) -> None:
        self._held.update(values)
        for key in gone:
            self._held.pop(key, None)
        self._offset = self._offset if offset is None else offset

    def take_regressed(self, partition: int) -> set[bytes]:
        return self._recovering.take_regressed(partition)

    def drop(self, partition: int) -> None:
        self._held.clear()
        self._offset = None

    def recover(self, changelog: Changelog) -> None:
        records = [SimpleNamespace(key=key, value=value) for key, value in changelog]
        chunk = Chunk("changelog", 0, cast(Any, records), 0, len(records), 0)
        changes = self._recovering.changes_of(chunk, self._held.get)
        values = {key: value for key, value in changes.items() if value is not None}
        self.write(0, values, [key for key in changes if changes[key] is None], len(changelog) - 1)


class ListPublisher:
    """Appends to a changelog; the process ends when `left` more records are in it, if that is set."""

    def __init__(self, changelog: Changelog, left: int | None = None) -> None:
        self._changelog = changelog
        self.left = left

    async def publish_to(self, place: TopicPartition, records: list[Outgoing]) -> Appended:
        first = len(self._changelog)
        for record in records:
            if self.left == 0:
                raise CrashedError
            self.left = None if self.left is None else self.left - 1
            assert record.key is not None
            self._changelog.append((record.key, record.value))
        return Appended(first, len(self._changelog) - 1)


class Settled:
    """A Reach of a worker that is at rest."""

    def is_settled(self) -> bool:
        return True

    def frontier(self, partition: int) -> int | None:
        return 0

    def told(self, partition: int) -> Told | None:
        return None


class AtOnce:
    """A Pace that waits for nothing."""

    def is_stopping(self) -> bool:
        return True

    def backlog(self, waiting: Mapping[int, int]) -> int:
        return 0


class Simulation:
    """One partition. What a crash leaves is the stream, the changelog and the frontier."""

    def __init__(self, stream: Sequence[Entry]) -> None:
        self.stream = stream
        self.changelog: Changelog = []
        self.frontier = 0
        self.start()

    def start(self) -> None:
        """Begin anew, with what is left after a crash, or after nothing."""
        self.store = DictStore()
        self.store.recover(self.changelog)
        self.publisher = ListPublisher(self.changelog)
        self.book = WindowBook(1, KEPT, self.store.find, Settled())
        self.checkpoints = Checkpoints(
            self.book, lambda: self.store, self.publisher, AtOnce(), SETTINGS, Signals()
        )
        for _ in self.book.open(0, self.store.contents(0)):
            pass
        shelf = self.book.shelf(0)
        assert shelf is not None
        shelf.rewrite(self.store.take_regressed(0))
        self.position = self.frontier

    def merge(self, count: int) -> None:
        """Merge the next entries of the stream."""
        entries = self.stream[self.position : self.position + count]
        self.book.take(0, [Seen(entry.name.encode(), entry.window) for entry in entries])
        self.position += len(entries)

    def checkpoint(self, crash_after: int | None = None, *, commit: bool = True) -> None:
        """Write a checkpoint, and move the frontier; or crash after so many records of it, or before the commit."""
        reached, self.publisher.left = self.position, crash_after
        try:
            asyncio.run(self.checkpoints.write())
        except CrashedError:
            return self.start()
        self.publisher.left = None
        if not commit:
            return self.start()
        self.frontier = reached
        return None

    def finish(self) -> None:
        """Merge and write all that is left, and let everything age."""
        self.merge(len(self.stream))
        self.checkpoint()
        self.checkpoint()
