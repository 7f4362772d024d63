"""Windows made anew from the books, when their changelog was lost or does not fit the topic of entries any more.

The changelog is deleted and made again, so that nothing of before is merged into what comes now; what workers kept
on disk is of another edition, and they drop it. The group then goes on where the topic of entries ended before the
snapshot of the books was taken: whatever lies before that was posted before it was published, so the snapshot has
it. Entries that were posted before the snapshot and are published after come twice, which changes nothing.

Of each account its windows are written before its life. Should this end half-way, an account without a life is one
of which the stream knows nothing, and the books answer.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from aiokafka import TopicPartition

from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.window_source import Made, Source, WindowSource
from ledger.application.gaps import GroupBusyError
from ledger.config import Settings
from ledger.contract.outgoing import record_key
from ledger.domain.aging import Standing
from ledger.domain.life import life_of
from ledger.domain.window import WindowSize
from streams.doctor.finding import counted
from streams.embedded.addresses import Addresses, find_addresses
from streams.rolling import retention_of
from streams.topics import make_windows_topic, remove_topic
from streams.transport.partitioning import Partitioner
from streams.transport.publisher import BatchPublisher, Outgoing
from streams.windows.keys import EDITION_KEY, life_key, window_key

Note = Callable[[int, int], None]
"""Called with how many balances are done, of how many."""

_encode = msgspec.msgpack.Encoder().encode


class Rebuilt(NamedTuple):
    """What was written."""

    balances: int
    windows: dict[WindowSize, int]
    positions: dict[int, int]
    """Where the group goes on in the topic of entries, by partition."""


async def rebuild_windows(settings: Settings, note: Note) -> Rebuilt:
    """Make the changelog anew from the books; raises GroupBusyError while the group of the windows has members."""
    addresses = find_addresses(settings)
    async with KafkaGroup.open(addresses.kafka, settings.windows_group) as group:
        if members := await group.members():
            raise GroupBusyError(f"the group {settings.windows_group} has {counted(members, 'member')}.")
        await remove_topic(addresses.kafka, settings.windows_topic)
        await make_windows_topic(settings, addresses.kafka)
        async with KafkaStream.open(addresses.kafka, settings.entries_topic) as entries:
            positions = {partition: end for partition, (_, end) in (await entries.bounds()).items()}
        balances, windows = await _write_all(settings, addresses, len(positions), note)
        await group.move(settings.entries_topic, positions)
    return Rebuilt(balances, windows, positions)


async def _write_all(
    settings: Settings, addresses: Addresses, partitions: int, note: Note
) -> tuple[int, dict[WindowSize, int]]:
    pool = await open_pool(addresses.postgres_dsn, settings, size=1, name="ledger-windows")
    publisher = BatchPublisher(addresses.kafka)
    try:
        await publisher.start()
        async with WindowSource.open(pool) as source:
            return await Rebuilding(source, publisher, settings, partitions).run(note)
    finally:
        await publisher.stop()
        await pool.close()


class Rebuilding:
    """Reads the books in one snapshot, some balances at a time, and writes what stands of each."""

    def __init__(
        self, source: WindowSource, publisher: BatchPublisher, settings: Settings, partitions: int
    ) -> None:
        self._source = source
        self._publisher = publisher
        self._topic = settings.windows_topic
        self._retention = retention_of(settings)
        self._choose = Partitioner().chooser(settings.entries_topic, partitions)
        self._partitions = partitions
        self._windows = dict.fromkeys(WindowSize, 0)

    async def run(self, note: Note) -> tuple[int, dict[WindowSize, int]]:
        """Give how many balances were read, and how many windows of each size were written."""
        total, done = await self._source.count(), 0
        standings = await self._standings()
        await self._write_editions()
        async for sources in self._source.sources():
            made = await self._source.windows(
                sources, [standings[self._partition_of(source)] for source in sources]
            )
            await self._write(made)
            done += len(sources)
            note(done, total)
        return done, self._windows

    async def _standings(self) -> dict[int, Standing]:
        """What stands goes by the newest entry of each partition, as it does for workers."""
        newest: dict[int, int] = {}
        async for sources in self._source.sources():
            for source in sources:
                partition = self._partition_of(source)
                newest[partition] = max(newest.get(partition, 0), source.last_posted_at_us)
        return {partition: self._retention.standing(at) for partition, at in newest.items()}

    async def _write_editions(self) -> None:
        edition = uuid4().bytes
        for partition in range(self._partitions):
            await self._publish(partition, [(EDITION_KEY, edition)])

    async def _write(self, made: Sequence[Made]) -> None:
        by_partition: dict[int, list[tuple[bytes, bytes]]] = {}
        for source, size, start, window in made:
            name = life_key(source.tenant, source.account, source.asset)
            if size is None:
                record: Any = (name, _encode(life_of(window)))
            else:
                record = (window_key(name, size, start), _encode(window))
                self._windows[size] += 1
            by_partition.setdefault(self._partition_of(source), []).append(record)
        for partition, records in by_partition.items():
            await self._publish(partition, records)

    async def _publish(self, partition: int, records: Sequence[tuple[bytes, bytes]]) -> None:
        await self._publisher.publish_to(
            TopicPartition(self._topic, partition),
            [Outgoing(self._topic, key, value) for key, value in records],
        )

    def _partition_of(self, source: Source) -> int:
        return self._choose(record_key(source.tenant, source.account))
