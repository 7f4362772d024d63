"""What a replay reads, as lanes of records in order: the topic, its archive, dead letters, files of JSON lines."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec

from ledger.adapters.kafka.access import KafkaAccess
from ledger.adapters.kafka.stream import KafkaStream, RecordsExpiredError
from ledger.adapters.objects.store import open_objects
from ledger.application.archive_ports import NotArchivedError
from ledger.application.archived_topic import ArchivedTopic
from ledger.application.dead_letters import DeadLetters, Place, pages_of
from ledger.contract.dead_letter import DeadLetter, NotAnEventError, Record, cut_letter
from ledger.contract.decode import check_address, decode_event
from ledger.contract.keys import KeyChooser
from ledger.domain.ids import time_ms_of
from ledger.domain.moments import moment_of
from streams.replay.faults import NotReplayableError
from streams.replay.plan import Judged

PAGE_LINES = 2000


class Lane(Protocol):
    """Records in their order."""

    @property
    def partition(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def placed(self) -> bool:
        """Whether the records stand in the topic at the places that they tell."""
        ...

    def read(self, first: int) -> AsyncGenerator[Sequence[Record], None]:
        """Read the records from `first` to before the end, in order, in runs."""
        ...


@dataclass(frozen=True, slots=True)
class TopicLane:
    """A stretch of one partition, read without a group."""

    kafka: KafkaAccess | str
    topic: str
    partition: int
    first: int
    end: int
    placed: bool = True

    async def read(self, first: int) -> AsyncGenerator[Sequence[Record], None]:
        """Raises NotReplayableError where records have expired: to pass them by would lose their events."""
        async with KafkaStream.open(self.kafka, self.topic, whole=True) as stream:
            try:
                async for records in stream.read(self.partition, first, self.end):
                    yield records
            except RecordsExpiredError as error:
                raise NotReplayableError(f"{error}. An archive may have them.") from error


@dataclass(frozen=True, slots=True)
class ArchiveLane:
    """A stretch of one partition, as an archive has it."""

    url: str
    topic: str
    partition: int
    first: int
    end: int
    placed: bool = True

    async def read(self, first: int) -> AsyncGenerator[Sequence[Record], None]:
        """Raises NotReplayableError where the archive lacks records, before it gives any."""
        try:
            async for records in archived(self.url, self.topic).read(self.partition, first, self.end):
                yield records
        except NotArchivedError as error:
            raise NotReplayableError(f"{error}. --offsets takes what comes before them, or after.") from error


def archived(url: str, topic: str) -> ArchivedTopic:
    """Open what an archive has of a topic, to be read whole; raises ObjectsAwayError."""
    return ArchivedTopic(open_objects(url), topic, whole=True)


@dataclass(frozen=True, slots=True)
class FileLane:
    """Lines of JSON, one event each; an empty line is none. Offsets are line numbers, from 0."""

    path: Path
    end: int
    partition: int = 0
    first: int = 0
    placed: bool = False

    @classmethod
    def of(cls, path: Path) -> "FileLane":
        with path.open("rb") as lines:
            return cls(path, sum(1 for _ in lines))

    async def read(self, first: int) -> AsyncGenerator[Sequence[Record], None]:
        with self.path.open("rb") as lines:
            records = self._records(islice(enumerate(lines), first, self.end))
            while page := list(islice(records, PAGE_LINES)):
                yield page

    def _records(self, lines: Iterator[tuple[int, bytes]]) -> Iterator[Record]:
        for number, line in lines:
            if line.strip():
                yield Record(str(self.path), 0, number, None, line.strip())


@dataclass(frozen=True, slots=True)
class LettersLane:
    """Dead letters, in the order in which they came; offsets count them."""

    letters: DeadLetters
    places: Sequence[Place]
    partition: int = 0
    first: int = 0
    placed: bool = True

    @property
    def end(self) -> int:
        return len(self.places)

    async def read(self, first: int) -> AsyncGenerator[Sequence[Record], None]:
        for page in pages_of(self.places[first:]):
            stored = await self.letters.read(page)
            # Since they were found, somebody may have taken some in hand.
            if records := [each.letter.record for each in stored if each.action is None]:
                yield records


class Decoder:
    """Judges records: events, or why they are none."""

    def __init__(self, bytes_max: int, kept_bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._kept_bytes_max = kept_bytes_max
        self._keys = KeyChooser()

    def judge(self, lane: Lane, records: Sequence[Record], first: int, at: datetime) -> list[Judged]:
        """Judge a run; `first` counts where offsets do not, and `at` is the time of letters that have none."""
        counted = isinstance(lane, LettersLane)
        return [
            self._judge(lane, record, first + index if counted else record.offset, at)
            for index, record in enumerate(records)
        ]

    def _judge(self, lane: Lane, record: Record, offset: int, at: datetime) -> Judged:
        # Producers may set that time, and nothing was taken after now.
        taken_at = None if record.timestamp_ms is None else min(moment_of(record.timestamp_ms * 1000), at)
        try:
            check_address(record.key, record.headers)
            event = decode_event(
                record.value,
                topic=record.topic if lane.placed else None,
                partition=record.partition if lane.placed else None,
                offset=record.offset if lane.placed else None,
                key=record.key,
                bytes_max=self._bytes_max,
            )
            if not lane.placed:
                key = self._keys.key_for(event, record.value or b"")
                event = msgspec.structs.replace(event, key=key)
        except NotAnEventError as fault:
            letter = DeadLetter(record, fault.reason, fault.detail, taken_at or at)
            return Judged(offset, taken_at, letter=cut_letter(letter, self._kept_bytes_max))
        # Where no log took it, the time in its id tells its place.
        value = None if lane.placed else record.value
        return Judged(offset, taken_at or moment_of(time_ms_of(event.id) * 1000), event, value=value)


def stretches(
    bounds: Mapping[int, tuple[int, int]],
    *,
    partitions: Sequence[int] = (),
    given: Mapping[int, tuple[int, int]] | None = None,
    since: Mapping[int, int] | None = None,
    until: Mapping[int, int] | None = None,
) -> dict[int, tuple[int, int]]:
    """Cut what the log holds down to what was asked for: partitions, offsets, and offsets at two times."""
    found = {}
    for partition, (low, high) in bounds.items():
        if (partitions and partition not in partitions) or (given and partition not in given):
            continue
        first, end = (given or {}).get(partition, (low, high))
        first = max(low, first, (since or {}).get(partition, low))
        end = min(high, end, (until or {}).get(partition, high))
        found[partition] = (first, max(first, end))
    return found
