"""Keeps the book with Faust: closed when a rebalance begins, opened over what was recovered when it ends."""

import asyncio
from typing import Any, cast

from ledger.adapters.kafka.access import kafka_access
from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.transport.app import ChunkedApp
from streams.windows.book import WindowBook
from streams.windows.checkpoints import Checkpoints
from streams.windows.editions import Kept, find_foreign
from streams.windows.keys import EDITION_KEY
from streams.windows.stores import MemoryStore, RocksStore, Store
from streams.windows.table import WindowTable

KEYS_AT_ONCE = 2000


class BookKeeper:
    """Owns the table of an app, and opens and closes the book."""

    def __init__(self, app: ChunkedApp, settings: Settings, signals: Signals) -> None:
        self._app = app
        self._settings = settings
        self._signals = signals
        self._round = 0
        self.table = WindowTable(
            app, settings.windows_topic, self._make_store, self._rebalanced, self._recovered
        )
        app.tables.add(cast(Any, self.table))
        self.book: WindowBook
        self.checkpoints: Checkpoints

    def store(self) -> Store:
        """Give the table's store, which Faust makes when it starts."""
        return cast(Store, self.table.data)

    def _make_store(self, app: ChunkedApp, table: WindowTable) -> Any:
        options: dict[str, Any] = {
            "table_name": table.name,
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
        }
        if self._settings.windows_store == "memory":
            return MemoryStore("memory://", app, table, **options)
        return RocksStore(app, table, self._signals, **options)

    async def _rebalanced(self, partitions: set[int]) -> None:
        """Partitions were assigned, and are about to be recovered."""
        self._round += 1
        self.checkpoints.abandon()
        self.book.close()
        store = self.store()
        kept = {
            partition: Kept(offset, store.find(partition)(EDITION_KEY))
            for partition in partitions
            if (offset := store.offset(partition)) is not None
        }
        kafka = kafka_access(self._settings, str(self._settings.kafka_bootstrap))
        found = await find_foreign(kafka, self._settings.windows_topic, kept)
        for partition, why in found.items():
            self._signals.emit("state.foreign", partition=partition, why=why)
            store.drop(partition)

    async def _recovered(self, partitions: set[int]) -> None:
        """The table is what the changelog says: open the book over it."""
        now, store = self._round, self.store()
        with self._app.flow.waiting_for("recovery"):
            for partition in sorted(partitions):
                if not await self._open(partition, store, now):
                    return
        held = self.book.held()
        self._signals.emit(
            "windows.recovered",
            partitions=len(partitions),
            windows=sum(held.windows.values()),
            lives=held.lives,
        )

    async def _open(self, partition: int, store: Store, now: int) -> bool:
        """Open one partition; false where another rebalance came in between."""
        try:
            for count, _ in enumerate(self.book.open(partition, store.contents(partition))):
                if count % KEYS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if self._round != now:
                    return False
        except RuntimeError:
            # What is recovered anew changes under the reading.
            if self._round == now:
                raise
            return False
        shelf = self.book.shelf(partition)
        if shelf is not None:
            shelf.rewrite(store.take_regressed(partition))
        return True
