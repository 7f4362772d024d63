"""Archiving a topic: what was written since is gathered into segments, and each is written whole, once."""

from collections.abc import Callable, Sequence
from time import monotonic

from ledger.application.archive_manifest import PartitionManifest
from ledger.application.archive_ports import ArchiveError, DamagedArchiveError, Objects
from ledger.application.archived_topic import ArchivedTopic
from ledger.application.record_source import RecordSource
from ledger.contract.archive.examining import examine
from ledger.contract.archive.manifest import SegmentLine, line_of, segment_name
from ledger.contract.archive.segment import Head, SegmentBuilder, segment_hash
from ledger.contract.dead_letter import Record
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals

SEGMENT_BYTES = 32 * 1024**2
SEGMENT_S = 60.0

Progress = Callable[[str, int, int], None]
"""Called with `topic/partition`, and how many of how many records of this round it has passed."""


class ArchiveTopic:
    """Archives one topic. Where to go on is what the archive itself says: no position is kept anywhere else.

    A segment is written only if there is none of its name. So two who archive the same topic at once, or one that
    died and comes again, never write an offset twice: the later one takes over what is there and goes on after it.
    """

    def __init__(
        self,
        source: RecordSource,
        objects: Objects,
        signals: Signals,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_s: float = SEGMENT_S,
        progress: Progress | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._source = source
        self._archived = ArchivedTopic(objects, source.topic)
        self._objects = objects
        self._signals = signals
        self._segment_bytes = segment_bytes
        self._segment_s = segment_s
        self._progress = progress or (lambda name, done, total: None)
        self._now = now
        self._partitions: dict[int, _Partition] = {}
        self.written = _Written()

    async def catch_up(self, *, close: bool) -> None:
        """Read up to where the topic ends now, and write the segments that are full or old; with `close`, all.

        Raises ArchiveError where the topic is not the one that was archived, or the archive is damaged.
        """
        found = await self._source.bounds()
        if not found:
            raise ArchiveError(f"there is no topic {self._source.topic}")
        for number, bounds in sorted(found.items()):
            if number not in self._partitions:
                self._partitions[number] = await self._opened(number, bounds)
            await self._read(self._partitions[number], bounds, close=close)

    async def finish(self) -> None:
        """Write what was gathered and not written yet."""
        for partition in self._partitions.values():
            if partition.builder is not None:
                await self._write(partition, partition.builder)

    async def _opened(self, number: int, bounds: tuple[int, int]) -> "_Partition":
        manifest = self._archived.manifest(number)
        await manifest.mend()
        last = await manifest.last()
        async for line in manifest.unlisted(last):
            await manifest.add(line)
            last = line
        partition = _Partition(manifest, last)
        if last is not None:
            await self._check_last(number, last, bounds)
        return partition

    async def _check_last(self, number: int, last: SegmentLine, bounds: tuple[int, int]) -> None:
        """See that what is gone on after is whole, and was written in this topic and no other of its name."""
        topic, name = self._source.topic, segment_name(self._source.topic, number, last.first)
        segment = await self._objects.get(name)
        if segment is None or segment_hash(segment) != last.hash:
            raise DamagedArchiveError(name, "it is not what was written; `ledger archive verify` says where")
        if last.next > bounds[1]:
            raise ArchiveError(
                f"{topic}/{number} ends at {bounds[1]}, and its archive at {last.next}: "
                "the topic was cut or made anew"
            )
        record = await self._archived.last_record(number, last)
        if record is None or record.offset < bounds[0]:
            return
        if [record] != await self._read_one(number, record.offset):
            raise ArchiveError(
                f"{topic}/{number}/{record.offset} is another record than the archive holds: the topic was made anew"
            )

    async def _read_one(self, number: int, offset: int) -> Sequence[Record]:
        return [each async for run in self._source.read(number, offset, offset + 1) for each in run]

    async def _read(self, partition: "_Partition", bounds: tuple[int, int], *, close: bool) -> None:
        number = partition.manifest.partition
        first, end = bounds
        at = partition.next if partition.next is not None else first
        if at > end:
            raise ArchiveError(
                f"{self._source.topic}/{number} ends at {end} now, before {at}: it was cut or made anew"
            )
        begin = at
        while at < end or self._is_due(partition, close=close):
            if at < end:
                at = await self._read_segment(partition, number, max(at, first), end)
            elif partition.builder is not None:
                at = await self._write(partition, partition.builder)
            self._progress(f"{self._source.topic}/{number}", at - begin, end - begin)

    def _is_due(self, partition: "_Partition", *, close: bool) -> bool:
        if partition.builder is None:
            return False
        return close or self._now() - partition.opened_at >= self._segment_s

    async def _read_segment(self, partition: "_Partition", number: int, at: int, end: int) -> int:
        """Read until the segment is full, or the end; gives the offset to go on from."""
        topic = self._source.topic
        async for run in self._source.read(number, at, end):
            builder = self._builder(partition, at)
            log_begins = 0
            if run[-1].offset + 1 - builder.next != len(run):
                log_begins = (await self._source.bounds())[number][0]
            self._tell_expired(number, builder.next, min(run[0].offset, log_begins))
            builder.add(run, log_begins)
            self._progress(f"{topic}/{number}", builder.next - at, end - at)
            if builder.pending_bytes >= self._segment_bytes:
                return await self._write(partition, builder)
        if partition.builder is not None:
            # From where it was to be read on: all before that has expired.
            self._tell_expired(number, partition.builder.next, at)
            partition.builder.skip_to(end, at)
        return end

    def _builder(self, partition: "_Partition", at: int) -> SegmentBuilder:
        if partition.builder is None:
            last, manifest = partition.last, partition.manifest
            head = Head(
                manifest.topic,
                manifest.partition,
                last.number + 1 if last is not None else 0,
                last.next if last is not None else at,
                last.hash if last is not None else None,
            )
            partition.builder, partition.opened_at = SegmentBuilder(head), self._now()
        return partition.builder

    def _tell_expired(self, number: int, first: int, log_begins: int) -> None:
        if log_begins > first:
            facts = {"topic": self._source.topic, "partition": number}
            self._signals.emit("archive.records_expired", **facts, first=first, lost=log_begins - first)

    async def _write(self, partition: "_Partition", builder: SegmentBuilder) -> int:
        """Write a segment, or take over the one that another has written; gives the offset to go on from."""
        topic, number = partition.manifest.topic, partition.manifest.partition
        segment, index = builder.close()
        name = segment_name(topic, number, builder.head.first)
        line = line_of(builder.head, index, segment)
        if await self._objects.put_new(name, segment):
            crash_point("segment_written")
            self.written.add(line)
            facts = {"records": line.records, "bytes": line.bytes}
            self._signals.emit(
                "archive.segment_written", topic=topic, partition=number, first=line.first, **facts
            )
        else:
            line = await self._of_another(name, line)
            self._signals.emit("archive.segment_found", topic=topic, partition=number, first=line.first)
        await partition.manifest.add(line)
        partition.last, partition.builder = line, None
        return line.next

    async def _of_another(self, name: str, ours: SegmentLine) -> SegmentLine:
        segment = await self._objects.get(name) or b""
        found = examine(segment)
        if found.head is None or found.index is None or found.faults:
            raise DamagedArchiveError(name, "it is not what was written; `ledger archive verify` says where")
        line = line_of(found.head, found.index, segment)
        if (line.number, line.previous) != (ours.number, ours.previous):
            raise DamagedArchiveError(name, "it does not follow the segment before it")
        return line


class _Partition:
    """Where the archiving of a partition stands: the last segment that is written, and the one being gathered."""

    def __init__(self, manifest: PartitionManifest, last: SegmentLine | None) -> None:
        self.manifest = manifest
        self.last = last
        self.builder: SegmentBuilder | None = None
        self.opened_at = 0.0

    @property
    def next(self) -> int | None:
        """The offset to go on from; None: wherever the log begins."""
        if self.builder is not None:
            return self.builder.next
        return self.last.next if self.last is not None else None


class _Written:
    """What one who archives has written."""

    def __init__(self) -> None:
        self.segments = self.records = self.bytes = self.expired = 0

    def add(self, line: SegmentLine) -> None:
        self.segments += 1
        self.records += line.records
        self.bytes += line.bytes
        self.expired += line.expired
