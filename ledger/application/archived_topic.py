"""An archived topic as a source of records: whatever Kafka has deleted since, it is here."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from ledger.application.archive_manifest import PartitionManifest
from ledger.application.archive_ports import DamagedArchiveError, NotArchivedError, Objects
from ledger.contract.archive.blocks import UnreadableBlockError, unpack
from ledger.contract.archive.manifest import (
    SegmentLine,
    manifests_prefix,
    part_place,
    segment_name,
    segment_place,
    segments_prefix,
)
from ledger.contract.archive.segment import (
    BlockPlace,
    DamagedSegmentError,
    Index,
    index_bytes,
    read_index,
    unframe,
)
from ledger.contract.dead_letter import Record

INDEX_BYTES_LIKELY = 64 * 1024
READ_BYTES = 4 * 1024**2
"""So many bytes of blocks are asked for at once."""


class ArchivedTopic:
    """A RecordSource over the archive. Raises DamagedArchiveError where it is not what was written.

    If `whole`, reading raises NotArchivedError, before it gives anything, where the archive lacks some of what it is
    asked for; else it gives what there is.
    """

    def __init__(self, objects: Objects, topic: str, *, whole: bool = False) -> None:
        self._objects = objects
        self._whole = whole
        self._manifests: dict[int, PartitionManifest] = {}
        self.topic = topic

    async def partitions(self) -> list[int]:
        """List the partitions of which there is anything."""
        parts = await self._objects.names(manifests_prefix(self.topic))
        segments = await self._objects.names(segments_prefix(self.topic))
        places = [
            *(part_place(each.name) for each in parts),
            *(segment_place(each.name) for each in segments),
        ]
        return sorted({place.partition for place in places if place is not None})

    def manifest(self, partition: int) -> PartitionManifest:
        return self._manifests.setdefault(partition, PartitionManifest(self._objects, self.topic, partition))

    async def bounds(self) -> Mapping[int, tuple[int, int]]:
        found = {partition: await self.manifest(partition).bounds() for partition in await self.partitions()}
        return {partition: bounds for partition, bounds in found.items() if bounds is not None}

    async def offsets_at(self, time_ms: int) -> Mapping[int, int]:
        return {partition: await self._offset_at(partition, time_ms) for partition in await self.partitions()}

    async def _offset_at(self, partition: int, time_ms: int) -> int:
        """Times may go back from record to record, so every segment is asked for its newest."""
        end = 0
        async for line in self._lines(partition, 0):
            end = line.next
            if line.last_ms is None or line.last_ms < time_ms:
                continue
            for block in (await self._index(partition, line)).blocks:
                if block.last_ms is None or block.last_ms < time_ms:
                    continue
                records = await self._records(partition, line, [block])
                return next(each.offset for each in records if (each.timestamp_ms or 0) >= time_ms)
        return end

    async def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[Record]]:
        if self._whole:
            await self._check_whole(partition, first, end)
        async for line in self._lines(partition, first):
            if line.first >= end:
                return
            index = await self._index(partition, line)
            wanted = [block for block in index.blocks if block.last >= first and block.first < end]
            for together in _together(wanted):
                for block in await self._blocks(partition, line, together):
                    if run := [record for record in block if first <= record.offset < end]:
                        yield run

    async def _check_whole(self, partition: int, first: int, end: int) -> None:
        """Segments join on to each other, but the first and the newest may have gone; what is empty is no loss."""
        reached = first
        async for line in self._lines(partition, first):
            if reached >= end or line.first > reached:
                end = min(end, line.first)
                break
            for hole in (await self._index(partition, line)).holes if line.expired else ():
                if hole.kind == "expired" and max(hole.first, first) < min(hole.next, end):
                    why = "which expired before they were archived"
                    raise NotArchivedError(self.topic, partition, hole.first, hole.next, why)
            reached = line.next
        if reached < end:
            raise NotArchivedError(self.topic, partition, reached, end, "as segments of it have gone")

    async def last_record(self, partition: int, line: SegmentLine) -> Record | None:
        """Read the last record of a segment; None if it has none."""
        index = await self._index(partition, line)
        return (await self._records(partition, line, index.blocks[-1:]))[-1] if index.blocks else None

    async def _lines(self, partition: int, begin: int) -> AsyncIterator[SegmentLine]:
        """Give segments, each of which joins on to the one before it."""
        before: SegmentLine | None = None
        async for line in self.manifest(partition).lines(begin):
            if before is not None and (before.next, before.hash) != (line.first, line.previous):
                name = segment_name(self.topic, partition, line.first)
                raise DamagedArchiveError(
                    name, f"it does not follow the segment that begins at {before.first}"
                )
            before = line
            yield line

    async def _index(self, partition: int, line: SegmentLine) -> Index:
        name = segment_name(self.topic, partition, line.first)
        try:
            end = await self._part(name, max(0, line.bytes - INDEX_BYTES_LIKELY), line.bytes)
            length = index_bytes(end, line.bytes)
            if length > len(end):
                end = await self._part(name, line.bytes - length, line.bytes)
            return read_index(end, line.bytes)
        except DamagedSegmentError as error:
            raise DamagedArchiveError(name, str(error)) from error

    async def _records(self, partition: int, line: SegmentLine, places: Sequence[BlockPlace]) -> list[Record]:
        return [each for block in await self._blocks(partition, line, places) for each in block]

    async def _blocks(
        self, partition: int, line: SegmentLine, places: Sequence[BlockPlace]
    ) -> list[list[Record]]:
        """Read blocks that stand side by side."""
        name = segment_name(self.topic, partition, line.first)
        begin, end = places[0].at, places[-1].at + places[-1].bytes
        read = await self._part(name, begin, end)
        return [
            self._unpacked(name, partition, place, read[place.at - begin :][: place.bytes])
            for place in places
        ]

    def _unpacked(self, name: str, partition: int, place: BlockPlace, framed: bytes) -> list[Record]:
        where = f"the block of offsets {place.first} to {place.last}"
        try:
            payload = unframe(framed, place.at, where)
            if framed[4:20].hex() != place.checksum:
                raise DamagedArchiveError(name, f"{where} is another than its index says")
            return unpack(payload, self.topic, partition)
        except (DamagedSegmentError, UnreadableBlockError) as error:
            raise DamagedArchiveError(name, str(error)) from error

    async def _part(self, name: str, begin: int, end: int) -> bytes:
        found = await self._objects.part(name, begin, end)
        if found is None:
            raise DamagedArchiveError(name, "it has gone")
        return found


def _together(blocks: Sequence[BlockPlace]) -> Iterator[list[BlockPlace]]:
    """Part blocks into those that are read at once."""
    group: list[BlockPlace] = []
    for block in blocks:
        if group and sum(each.bytes for each in group) + block.bytes > READ_BYTES:
            yield group
            group = []
        group.append(block)
    if group:
        yield group
