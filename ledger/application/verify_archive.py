"""Verifying an archive: every byte of every segment, the chain of their hashes, and the manifest against both."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from ledger.application.archive_manifest import PartitionManifest
from ledger.application.archive_ports import DamagedArchiveError, Objects
from ledger.application.archived_topic import ArchivedTopic
from ledger.contract.archive.examining import Examined, SegmentFault, examine
from ledger.contract.archive.manifest import (
    PartPlace,
    SegmentLine,
    line_of,
    part_name,
    part_place,
    segment_name,
    segment_place,
    segments_prefix,
)
from ledger.contract.archive.segment import segment_hash

FAULTS_SHOWN_MAX = 100

Progress = Callable[[str, int, int], None]
"""Called with `topic/partition`, and how many of how many segments it has looked at."""


class PartitionSummary(msgspec.Struct, frozen=True):
    """What is archived of a partition; `head` is the hash of the newest segment, which vouches for all before it.

    Offsets from `first_offset` to before `next_offset`; `expired` of them Kafka deleted before they were archived. The
    newest `unlisted` segments have no line in the manifest: one where it is written just now, or was broken off.
    """

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    segments: int
    records: int
    expired: int
    bytes: int
    head: str
    unlisted: int = 0


class ArchiveFault(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong, and where: blocks count from 0, bytes and offsets go from the first to before the second.

    Without a partition nothing of the topic is archived.
    """

    topic: str
    partition: int | None
    what: str
    object: str
    block: int | None = None
    bytes: tuple[int, int] | None = None
    offsets: tuple[int, int] | None = None


class Witness(msgspec.Struct, frozen=True):
    """What `ledger archive list --json` said of a partition at another time, kept in another place."""

    topic: str
    partition: int
    next_offset: int
    head: str


class ArchiveVerdict(msgspec.Struct, frozen=True):
    """What is there, and what of it is wrong; of many faults the first are shown."""

    partitions: Sequence[PartitionSummary]
    faults: Sequence[ArchiveFault]

    @property
    def ok(self) -> bool:
        return not self.faults


def summarized(
    topic: str,
    partition: int,
    before: PartitionSummary | None,
    line: SegmentLine,
    *,
    is_unlisted: bool = False,
) -> PartitionSummary:
    """Add a segment to what is told of its partition."""
    return PartitionSummary(
        topic,
        partition,
        line.first if before is None else before.first_offset,
        line.next,
        1 + (before.segments if before is not None else 0),
        line.records + (before.records if before is not None else 0),
        line.expired + (before.expired if before is not None else 0),
        line.bytes + (before.bytes if before is not None else 0),
        line.hash,
        (before.unlisted if before is not None else 0) + is_unlisted,
    )


async def topics_of(objects: Objects) -> list[str]:
    """List the topics that an archive holds anything of."""
    names = [each.name for each in await objects.names("")]
    places = [place for name in names if (place := segment_place(name) or part_place(name)) is not None]
    return sorted({place.topic for place in places})


async def list_archive(objects: Objects, topics: Sequence[str]) -> list[PartitionSummary]:
    """Tell what is archived, as the manifests have it; raises DamagedArchiveError where they cannot be read."""
    found = []
    for topic in topics:
        archived = ArchivedTopic(objects, topic)
        for partition in await archived.partitions():
            summary = None
            listed = await archived.manifest(partition).last()
            async for line in archived.manifest(partition).lines():
                is_unlisted = listed is None or line.first > listed.first
                summary = summarized(topic, partition, summary, line, is_unlisted=is_unlisted)
            if summary is not None:
                found.append(summary)
    return found


class VerifyArchive:
    """Reads an archive whole and changes nothing; may run while it is written."""

    def __init__(
        self, objects: Objects, progress: Progress | None = None, witnesses: Sequence[Witness] = ()
    ) -> None:
        self._objects = objects
        self._progress = progress or (lambda name, done, total: None)
        self._witnesses = witnesses

    async def __call__(self, topics: Sequence[str]) -> ArchiveVerdict:
        summaries: list[PartitionSummary] = []
        faults: list[ArchiveFault] = []
        for topic in topics:
            partitions = await ArchivedTopic(self._objects, topic).partitions()
            if not partitions and all(each.topic != topic for each in self._witnesses):
                faults.append(ArchiveFault(topic, None, "nothing of it is archived", topic))
            for partition in partitions:
                chain = _Chain(self._objects, topic, partition, self._of(topic, partition))
                async for done, total in chain.walk():
                    self._progress(f"{topic}/{partition}", done, total)
                faults += chain.faults[: max(0, FAULTS_SHOWN_MAX - len(faults))]
                if chain.summary is not None:
                    summaries.append(chain.summary)
        there = {(each.topic, each.partition) for each in summaries}
        faults += [
            ArchiveFault(
                each.topic,
                each.partition,
                "nothing of it is there, and the witness saw it",
                f"{each.topic}/{each.partition}",
            )
            for each in self._witnesses
            if each.topic in topics and (each.topic, each.partition) not in there
        ]
        return ArchiveVerdict(summaries, faults)

    def _of(self, topic: str, partition: int) -> dict[int, str]:
        """Give what witnesses saw of a partition: the hash of the segment that ended at an offset."""
        return {
            each.next_offset: each.head
            for each in self._witnesses
            if (each.topic, each.partition) == (topic, partition)
        }


class _Chain:
    """One partition's segments in order, each against its line of the manifest and the segment before it."""

    def __init__(self, objects: Objects, topic: str, partition: int, witnesses: Mapping[int, str]) -> None:
        self._objects = objects
        self._topic = topic
        self._partition = partition
        self._witnesses = dict(witnesses)
        self._before: SegmentLine | None = None
        self._is_broken = False
        self._last_listed = -1
        self.faults: list[ArchiveFault] = []
        self.summary: PartitionSummary | None = None

    async def walk(self) -> AsyncIterator[tuple[int, int]]:
        """Look at every segment that is there or that the manifest lists; gives how many of how many."""
        firsts = await self._stored()
        lines = await self._lines()
        every = sorted(firsts | lines.keys())
        self._last_listed = max(lines, default=-1)
        # Segments were looked for first: whatever is written meanwhile, all of these but the newest are listed.
        newest = max(firsts, default=-1)
        for done, first in enumerate(every, start=1):
            line = lines.get(first)
            if line is None and first < max(self._last_listed, newest):
                self._add("the manifest does not list it", first)
            await self._look_at(first, line)
            yield done, len(every)
        for end in self._witnesses:
            self._add(f"no segment ends at offset {end} any more, and the witness saw one that did", None)

    async def _stored(self) -> set[int]:
        found = await self._objects.names(segments_prefix(self._topic, self._partition))
        return {place.first for each in found if (place := segment_place(each.name)) is not None}

    async def _lines(self) -> dict[int, SegmentLine]:
        manifest = PartitionManifest(self._objects, self._topic, self._partition)
        lines: dict[int, SegmentLine] = {}
        for place in await manifest.parts():
            try:
                part = await manifest.lines_of(place)
            except DamagedArchiveError as error:
                what = str(error).removeprefix(f"{error.name}: ")
                self._fault(ArchiveFault(self._topic, self._partition, what, error.name))
                continue
            if not part or part[0].first != place.first:
                what = "it does not begin with the segment that it is named after"
                self._fault(ArchiveFault(self._topic, self._partition, what, part_name(*place)))
            self._look_for_order(place, part, lines)
            lines |= {line.first: line for line in part}
        return lines

    def _look_for_order(
        self, place: PartPlace, part: Sequence[SegmentLine], before: Mapping[int, SegmentLine]
    ) -> None:
        """Whoever reads an archive goes by the lines in their order; one that is left out shows by its segment."""
        last = max((line.number for line in before.values()), default=-1)
        for at, line in enumerate(part, start=1):
            if line.number <= last:
                what = f"line {at} lists segment {line.number} after segment {last}"
                self._fault(ArchiveFault(self._topic, self._partition, what, part_name(*place)))
            last = max(last, line.number)

    async def _look_at(self, first: int, line: SegmentLine | None) -> None:
        segment = await self._objects.get(segment_name(self._topic, self._partition, first))
        if segment is None:
            if line is not None:
                self._add("it is missing", first, SegmentFault("", offsets=(line.first, line.next)))
            self._go_on(line)
            return
        found = examine(segment)
        for fault in found.faults:
            self._add(fault.what, first, fault)
        ours = self._compare(first, line, found, segment)
        self._go_on(ours or line)

    def _compare(
        self, first: int, line: SegmentLine | None, found: Examined, segment: bytes
    ) -> SegmentLine | None:
        """Compare a segment with its name, its line, and the one before it; gives its line as it is."""
        head, index = found.head, found.index
        if head is not None and (head.topic, head.partition, head.first) != (
            self._topic,
            self._partition,
            first,
        ):
            self._add(
                f"it holds the segment of {head.topic}/{head.partition} from offset {head.first}", first
            )
            return None
        if line is not None and line.hash != segment_hash(segment) and not found.faults:
            self._add("it is not the segment that the manifest lists", first)
        if head is None or index is None or found.faults:
            return None
        if self._before is None and (head.number, head.previous) != (0, None) and not self._is_broken:
            self._add(f"it is number {head.number}, and those before it are missing", first)
        if self._before is not None:
            self._follow(self._before, head.first, head.previous)
        ours = line_of(head, index, segment)
        if line is not None and line.hash == ours.hash and line != ours:
            self._add("the manifest says other things of it than it holds", first)
        return ours

    def _follow(self, before: SegmentLine, first: int, previous: str | None) -> None:
        if before.next != first:
            gap = (min(before.next, first), max(before.next, first))
            self._add("it does not join on to the segment before it", first, SegmentFault("", offsets=gap))
        elif before.hash != previous:
            self._add("it was written after another segment than the one before it", first)

    def _go_on(self, line: SegmentLine | None) -> None:
        self._before, self._is_broken = line, line is None
        if line is None:
            return
        is_unlisted = line.first > self._last_listed
        self.summary = summarized(self._topic, self._partition, self.summary, line, is_unlisted=is_unlisted)
        seen = self._witnesses.pop(line.next, None)
        if seen is not None and seen != line.hash:
            self._add("it is not the segment that the witness saw", line.first)

    def _add(self, what: str, first: int | None, fault: SegmentFault | None = None) -> None:
        name = (
            segments_prefix(self._topic, self._partition)
            if first is None
            else segment_name(self._topic, self._partition, first)
        )
        place = fault or SegmentFault("")
        self._fault(
            ArchiveFault(self._topic, self._partition, what, name, place.block, place.bytes, place.offsets)
        )

    def _fault(self, fault: ArchiveFault) -> None:
        if len(self.faults) < FAULTS_SHOWN_MAX:
            self.faults.append(fault)
