"""The book of windows of a worker: a shelf for each partition that it holds, and what readers may ask of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from aiokafka.partitioner import murmur2

from ledger.domain.aging import Retention
from ledger.domain.life import Life
from ledger.domain.window import Window, WindowSize
from streams.windows.entries import Seen
from streams.windows.keys import life_key
from streams.windows.reach import Reach
from streams.windows.shelf import Find, Shelf


class Held(NamedTuple):
    """How much a book holds."""

    windows: dict[WindowSize, int]
    lives: int
    incomplete: int
    """Lives with versions missing."""


class WindowBook:
    """All of it is synchronous, and belongs into the event loop's thread.

    Ask `holds` first: of a partition that is not held, nothing is known, and everything else answers with nothing.
    """

    def __init__(
        self, partitions: int, retention: Retention, find: Callable[[int], Find], reach: Reach
    ) -> None:
        self.partitions = partitions
        self._retention = retention
        self._find = find
        self._reach = reach
        self._shelves: dict[int, Shelf] = {}
        self._merged_to: dict[int, int] = {}
        self._fresh_at: dict[int, float] = {}

    # Reading

    def partition_of(self, key: bytes) -> int:
        """Say which partition has a key of the stream, `tenant/account`."""
        hashed: int = murmur2(key) & 0x7FFFFFFF
        return hashed % self.partitions

    def holds(self, partition: int) -> bool:
        """Whether this worker can answer for a partition: it is assigned, recovered, and no rebalance is going on."""
        return (
            partition in self._shelves
            and self._reach.is_settled()
            and self._reach.frontier(partition) is not None
        )

    def life(self, partition: int, tenant: str, account: str, asset: str) -> Life | None:
        """Give all that the stream saw of an account and asset; its last entry is the newest."""
        shelf = self._shelves.get(partition)
        return None if shelf is None else shelf.life(life_key(tenant, account, asset))

    def windows(
        self,
        partition: int,
        tenant: str,
        account: str,
        asset: str,
        size: WindowSize,
        first: int,
        before: int,
        limit: int,
    ) -> list[tuple[int, Window]]:
        """Read windows that begin in [first, before), oldest first, at most `limit`, in seconds since 1970.

        Smaller windows that stand are merged into larger ones; none are given from before `kept_from`. Whether one
        has all its entries, `is_complete` says with the life. Where the life does not begin with version 1, nothing
        is known of its time before its first entry, though other windows of then may exist in the books.
        """
        shelf = self._shelves.get(partition)
        if shelf is None:
            return []
        return shelf.windows(life_key(tenant, account, asset), size, first, before, limit)

    def kept_from(self, partition: int, size: WindowSize) -> int:
        """Say from which start on the stream stands for windows of a size; older ones are the database's."""
        shelf = self._shelves.get(partition)
        return 0 if shelf is None else shelf.standing.since(size)

    def stream_time_us(self, partition: int) -> int | None:
        """Give when the newest entry of a partition was posted; None if there was none."""
        shelf = self._shelves.get(partition)
        return None if shelf is None else shelf.stream_time_us

    def fresh_at(self, partition: int) -> float | None:
        """Say when all of a partition was known to be merged, in seconds since 1970; None: never yet."""
        told = self._reach.told(partition)
        if told is not None and self.merged_to(partition) >= told.end:
            self._note_fresh(partition, told.at)
        return self._fresh_at.get(partition)

    def merged_to(self, partition: int) -> int:
        """Give the offset before which everything is merged, though not all of it is in a checkpoint yet."""
        return max(self._merged_to.get(partition, 0), self._reach.frontier(partition) or 0)

    def held(self) -> Held:
        """Count what is held."""
        shelves = list(self._shelves.values())
        return Held(
            {size: sum(shelf.count(size) for shelf in shelves) for size in WindowSize},
            sum(shelf.lives for shelf in shelves),
            sum(len(shelf.incomplete) for shelf in shelves),
        )

    # Filling

    def shelf(self, partition: int) -> Shelf | None:
        """Give the shelf of a partition; None while it is not held."""
        return self._shelves.get(partition)

    def shelves(self) -> Sequence[tuple[int, Shelf]]:
        """Give all shelves, by partition."""
        return sorted(self._shelves.items())

    def close(self) -> None:
        """A rebalance begins: what was not checkpointed will come again, here or elsewhere."""
        self._shelves.clear()
        self._merged_to.clear()
        self._fresh_at.clear()

    def open(self, partition: int, items: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
        """Put up a shelf over what the table holds of a partition, a step for each window; it is there at the end."""
        shelf = Shelf(self._find(partition), self._retention)
        yield from shelf.load(items)
        self._shelves[partition] = shelf

    def take(self, partition: int, entries: Iterable[Seen]) -> int | None:
        """Merge entries, at once visible to readers; gives how many were too old, or None if it is not held."""
        shelf = self._shelves.get(partition)
        return None if shelf is None else shelf.take(entries)

    def took(self, partition: int, end_offset: int, written_at: float) -> None:
        """All up to `end_offset` is merged; the last of it was written at a time in seconds since 1970."""
        self._merged_to[partition] = max(end_offset, self._merged_to.get(partition, 0))
        self._note_fresh(partition, written_at)

    def _note_fresh(self, partition: int, at: float) -> None:
        self._fresh_at[partition] = max(at, self._fresh_at.get(partition, 0.0))
