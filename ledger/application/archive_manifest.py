"""The segments of one archived partition, as its manifest lists them; what it does not list yet is looked for."""

from bisect import bisect_right
from collections.abc import AsyncIterator

from ledger.application.archive_ports import DamagedArchiveError, Objects
from ledger.contract.archive.manifest import (
    LINES_A_PART,
    DamagedManifestError,
    PartPlace,
    SegmentLine,
    line_of,
    manifests_prefix,
    part_name,
    part_place,
    read_part,
    segment_name,
    segment_place,
    segments_prefix,
    write_part,
)
from ledger.contract.archive.segment import DamagedSegmentError, read_head, read_index


class PartitionManifest:
    """Segments in order. A segment is written first and listed then: the last may be there and not be listed."""

    def __init__(self, objects: Objects, topic: str, partition: int) -> None:
        self._objects = objects
        self.topic = topic
        self.partition = partition
        self._read: tuple[str, list[SegmentLine]] | None = None

    async def parts(self) -> list[PartPlace]:
        found = await self._objects.names(manifests_prefix(self.topic, self.partition))
        return sorted(place for each in found if (place := part_place(each.name)) is not None)

    async def lines_of(self, place: PartPlace) -> list[SegmentLine]:
        """Read a part; raises DamagedArchiveError."""
        name = part_name(*place)
        body = await self._objects.get(name)
        if body is None:
            raise DamagedArchiveError(name, "it has gone")
        try:
            return read_part(body)
        except DamagedManifestError as error:
            raise DamagedArchiveError(name, str(error)) from error

    async def lines(self, begin: int = 0) -> AsyncIterator[SegmentLine]:
        """Give the segments that hold offsets from `begin` on, or lie there; raises DamagedArchiveError."""
        last: SegmentLine | None = None
        parts = await self.parts()
        at = max(0, bisect_right([part.first for part in parts], begin) - 1)
        for number, place in enumerate(parts[at:], start=at):
            for line in await self._kept_lines(place, is_last=number == len(parts) - 1):
                async for left_out in self._between(last, line):
                    if left_out.next > begin:
                        yield left_out
                last = line
                if line.next > begin:
                    yield line
        async for line in self.unlisted(last):
            if line.next > begin:
                yield line

    async def _between(self, last: SegmentLine | None, line: SegmentLine) -> AsyncIterator[SegmentLine]:
        """Look for what the manifest leaves out between two lines, as after two wrote it at once."""
        if last is None or line.number <= last.number + 1:
            return
        async for each in self.unlisted(last):
            if each.number >= line.number:
                return
            yield each

    async def _kept_lines(self, place: PartPlace, *, is_last: bool) -> list[SegmentLine]:
        """Whole parts never change: the one that was read last is kept for whoever reads on."""
        name = part_name(*place)
        if self._read is not None and self._read[0] == name:
            return self._read[1]
        lines = await self.lines_of(place)
        if not is_last:
            self._read = (name, lines)
        return lines

    async def unlisted(self, last: SegmentLine | None) -> AsyncIterator[SegmentLine]:
        """Look for segments that follow the last one listed; raises DamagedArchiveError."""
        begin = last.next if last is not None else await self._first_segment()
        while begin is not None:
            line = await self._unlisted_line(begin)
            if line is None:
                return
            yield line
            begin = line.next

    async def _first_segment(self) -> int | None:
        found = await self._objects.names(segments_prefix(self.topic, self.partition))
        return min((place.first for each in found if (place := segment_place(each.name))), default=None)

    async def _unlisted_line(self, first: int) -> SegmentLine | None:
        name = segment_name(self.topic, self.partition, first)
        segment = await self._objects.get(name)
        if segment is None:
            return None
        try:
            return line_of(read_head(segment), read_index(segment, len(segment)), segment)
        except DamagedSegmentError as error:
            raise DamagedArchiveError(name, str(error)) from error

    async def bounds(self) -> tuple[int, int] | None:
        """Give the first and the next offset; None where there is nothing."""
        parts, last = await self.parts(), await self.last()
        first = parts[0].first if parts else None
        end = last.next if last is not None else None
        async for line in self.unlisted(last):
            first, end = (line.first if first is None else first), line.next
        return None if first is None or end is None else (first, end)

    async def last(self) -> SegmentLine | None:
        """Give the newest segment that is listed."""
        parts = await self.parts()
        return (await self.lines_of(parts[-1]))[-1] if parts else None

    async def add(self, line: SegmentLine) -> None:
        """List a segment, and those before it that are missing; listing it again changes nothing."""
        parts = await self.parts()
        lines = await self.lines_of(parts[-1]) if parts else []
        last = lines[-1] if lines else None
        if last is not None and last.number >= line.number:
            return
        part = parts[-1].part if parts else 0
        # Another who archives may have written an older state of the part over a newer one.
        is_next = line.number == (last.number + 1 if last is not None else 0)
        for each in [line] if is_next else [found async for found in self.unlisted(last)]:
            if len(lines) >= LINES_A_PART:
                await self._put(part, lines)
                part, lines = part + 1, []
            lines.append(each)
        await self._put(part, lines)

    async def mend(self) -> None:
        """List what the part before the last lacks: another may have written an older state of it over it."""
        for place in (await self.parts())[-2:-1]:
            lines = await self.lines_of(place)
            if len(lines) < LINES_A_PART:
                async for line in self.unlisted(lines[-1]):
                    lines.append(line)
                    if len(lines) == LINES_A_PART:
                        break
                await self._put(place.part, lines)

    async def _put(self, part: int, lines: list[SegmentLine]) -> None:
        await self._objects.put(
            part_name(self.topic, self.partition, part, lines[0].first), write_part(lines)
        )
