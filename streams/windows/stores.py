"""Where a worker keeps its table: each partition by itself, in memory or in RocksDB, recovered by merging.

A value in the changelog may be older than one before it: a worker that was stopped past its session can still send
what it had under way when it goes on. So recovery merges instead of overwriting, which changes nothing else, and
notes the keys whose newest record in the changelog is not the whole truth: they are written once more.
"""

import gc
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol

import faust.stores.base
import faust.stores.memory
import faust.stores.rocksdb
import rocksdict
from faust.types import TP, AppT, EventT
from faust.types.tables import CollectionT
from yarl import URL

from ledger.observability.signals import Signals
from streams.transport.chunk import Chunk
from streams.windows.shelf import Find, merge_values

BLOCK_CACHE_BYTES = 64 * 1024**2
WRITE_BUFFER_BYTES = 16 * 1024**2
OPEN_FILES_MAX = 200


class Store(Protocol):
    """What the book and its checkpoints need of a store."""

    def find(self, partition: int) -> Find:
        """Give the function that reads a partition."""
        ...

    def contents(self, partition: int) -> Iterable[tuple[bytes, bytes]]:
        """Go over all that a partition holds."""
        ...

    def offset(self, partition: int) -> int | None:
        """Give the offset of the last record of the changelog that is in here; None: of none."""
        ...

    def write(
        self, partition: int, values: Mapping[bytes, bytes], gone: Collection[bytes], offset: int | None
    ) -> None:
        """Write a checkpoint; `offset` is the changelog's, up to which all of it is here now; None: as it was."""
        ...

    def take_regressed(self, partition: int) -> set[bytes]:
        """Give the keys that have to be written once more, and forget them."""
        ...

    def drop(self, partition: int) -> None:
        """Forget a partition, on disk as well: it is to be recovered from its changelog."""
        ...


class Recovering:
    """Applies chunks of the changelog, by merging."""

    def __init__(self) -> None:
        self._regressed: dict[int, set[bytes]] = {}

    def take_regressed(self, partition: int) -> set[bytes]:
        """Give the keys whose newest record was not the whole truth, and forget them."""
        return self._regressed.pop(partition, set())

    def changes_of(self, chunk: Chunk, find: Find) -> dict[bytes, bytes | None]:
        """Work out what a chunk makes of what is there; None: gone."""
        changes: dict[bytes, bytes | None] = {}
        regressed = self._regressed.setdefault(chunk.partition, set())
        for record in chunk.records:
            key, value = record.key, record.value
            if value is not None:
                before = changes[key] if key in changes else find(key)
                both = value if before is None else merge_values(key, before, value)
                (regressed.discard if both == value else regressed.add)(key)
                value = both
            changes[key] = value
        return changes


class Merging(ABC):
    """What recovery does with a store, whatever it is kept in."""

    _recovering: Recovering

    @abstractmethod
    def find(self, partition: int) -> Find: ...

    @abstractmethod
    def offset(self, partition: int) -> int | None: ...

    @abstractmethod
    def write(
        self, partition: int, values: Mapping[bytes, bytes], gone: Collection[bytes], offset: int | None
    ) -> None: ...

    def take_regressed(self, partition: int) -> set[bytes]:
        return self._recovering.take_regressed(partition)

    def persisted_offset(self, tp: TP) -> int | None:
        """Give the offset of the last record that is in here, so that a rebalance need not begin anew."""
        return self.offset(tp.partition)

    def apply_changelog_batch(
        self, batch: Iterable[EventT[Any]], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Merge chunks of the changelog into what is here."""
        for event in batch:
            chunk: Chunk = event.message.value  # type: ignore[assignment]  # ours come as chunks
            changes = self._recovering.changes_of(chunk, self.find(chunk.partition))
            values = {key: value for key, value in changes.items() if value is not None}
            gone = [key for key, value in changes.items() if value is None]
            offset = max(chunk.end_offset - 1, self.offset(chunk.partition) or 0)
            self.write(chunk.partition, values, gone, offset)


class MemoryStore(Merging, faust.stores.memory.Store[bytes, bytes]):
    """Dictionaries, one for each partition, with the offset of the changelog that they are at."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._recovering = Recovering()
        self._partitions: dict[int, dict[bytes, bytes]] = {}
        self._offsets: dict[int, int] = {}

    def find(self, partition: int) -> Find:
        return self._partitions.setdefault(partition, {}).get

    def contents(self, partition: int) -> Iterable[tuple[bytes, bytes]]:
        return self._partitions.get(partition, {}).items()

    def write(
        self, partition: int, values: Mapping[bytes, bytes], gone: Collection[bytes], offset: int | None
    ) -> None:
        held = self._partitions.setdefault(partition, {})
        held.update(values)
        for key in gone:
            held.pop(key, None)
        if offset is not None:
            self._offsets[partition] = offset

    def offset(self, partition: int) -> int | None:
        return self._offsets.get(partition)

    def drop(self, partition: int) -> None:
        self._partitions.pop(partition, None)
        self._offsets.pop(partition, None)
        self._recovering.take_regressed(partition)

    # Faust's side

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Drop what others hold now: Faust drops only what it recovered itself."""
        held = {tp.partition for tp in assigned if tp.topic in self.table.changelog_topic.topics}
        for partition in set(self._partitions) - held:
            self.drop(partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Nothing is left to drop."""


class RocksStore(Merging, faust.stores.rocksdb.Store):
    """RocksDB, a database for each partition. A checkpoint and its offset are written in one step.

    What cannot be opened or read is deleted, and comes again from the changelog.
    """

    def __init__(self, app: AppT, table: CollectionT, signals: Signals, **options: Any) -> None:
        self._recovering = Recovering()
        self._signals = signals
        super().__init__(
            URL("rocksdb://"),
            app,
            table,
            options={
                "driver": "rocksdict",
                "block_cache_size": BLOCK_CACHE_BYTES,
                "write_buffer_size": WRITE_BUFFER_BYTES,
                "max_open_files": OPEN_FILES_MAX,
            },
            **options,
        )

    def find(self, partition: int) -> Find:
        database = self._db_for_partition(partition)

        def get(key: bytes) -> bytes | None:
            try:
                return database.get(key)  # type: ignore[no-any-return]
            except Exception as fault:
                self._tell_and_delete(partition, fault)
                raise

        return get

    def contents(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from self._visible_items(self._db_for_partition(partition))
        except Exception as fault:
            self._tell_and_delete(partition, fault)
            raise

    def write(
        self, partition: int, values: Mapping[bytes, bytes], gone: Collection[bytes], offset: int | None
    ) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in values.items():
            batch.put(key, value)
        for key in gone:
            batch.delete(key)
        if offset is not None:
            batch.put(self.offset_key, b"%d" % offset)
        self._db_for_partition(partition).write(batch)

    def offset(self, partition: int) -> int | None:
        found = self._db_for_partition(partition).get(self.offset_key)
        return None if found is None else int(found)

    def drop(self, partition: int) -> None:
        self._recovering.take_regressed(partition)
        self._dbs.pop(partition, None)
        gc.collect()  # the handle holds the lock until it is gone
        shutil.rmtree(self.partition_path(partition), ignore_errors=True)

    def _tell_and_delete(self, partition: int, fault: Exception) -> None:
        self._signals.emit("state.unreadable", partition=partition, fault=str(fault))
        shutil.rmtree(self.partition_path(partition), ignore_errors=True)

    # Faust's side

    def _open_for_partition(self, partition: int) -> Any:
        try:
            return super()._open_for_partition(partition)
        except Exception as fault:
            if "lock" in str(fault).lower():
                raise
            self._tell_and_delete(partition, fault)
            return super()._open_for_partition(partition)
