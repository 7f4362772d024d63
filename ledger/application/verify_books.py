"""Verify the books: checks in SQL over one snapshot, and the stream read again record by record."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Literal, Protocol

import msgspec

from ledger.contract.dead_letter import (
    DeadLetterReason,
    Header,
    NotAnEventError,
    Record,
    are_kept,
    is_kept,
)
from ledger.contract.decode import RECORD_BYTES_MAX, decode_record
from ledger.domain.audit import VIOLATIONS_SHOWN_MAX, Check, Verdict
from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.comparing import StoredEvent, differences, is_first

BOOK_CHECKS = ("zero_sum", "one_outcome", "balances", "versions", "holds", "sagas")

OFFSET_MAX = 2**63 - 1

RecordKind = Literal["first", "duplicate", "reused", "dead"]

Violations = Iterator[dict[str, Any]]

Progress = Callable[[str, int, int], None]
"""Called with the name of a check, and how many of how many things it has looked at."""


class StoredLetter(msgspec.Struct, frozen=True, gc=False):
    """A dead letter as it is stored."""

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] | None
    """None: what is stored can be no headers."""
    timestamp_ms: int | None
    reason: str


class Handled(msgspec.Struct, frozen=True):
    """How the books handled the records of a run of a partition."""

    stored: dict[int, StoredEvent]
    """What they hold of the id of an event, by the offset of the event."""
    first_seen: Sequence[tuple[int, EventKey]]
    """The offsets at which they say that they first saw an event, in order."""
    dead: dict[int, StoredLetter]
    """Dead letters by offset."""


class Auditor(Protocol):
    """One snapshot of the books, to be audited."""

    async def check(self, name: str) -> Check:
        """Run one of BOOK_CHECKS."""
        ...

    async def positions(self, topic: str) -> dict[int, int]:
        """Give, by partition, the offset before which the books say that all is handled."""
        ...

    async def strays(self, topic: str, partitions: Collection[int]) -> list[dict[str, Any]]:
        """Find what the books place nowhere, or in partitions of `topic` that are none of these."""
        ...

    async def handled(
        self, topic: str, partition: int, offsets: tuple[int, int], events: Sequence[Event]
    ) -> Handled:
        """Look up `events`, and what the books place at offsets from the first to the second.

        The runs of a partition are asked for in order. Of what is too much for any run of records, part will do.
        """
        ...


class Stream(Protocol):
    """The topic of payments, read without a group."""

    topic: str

    async def bounds(self) -> dict[int, tuple[int, int]]:
        """Give the first and the next offset of each partition."""
        ...

    def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """Read the records from `first` to before `end`, in order, in runs."""
        ...


class VerifyBooks:
    """Runs every check and gives the verdict; changes nothing, and may run beside live traffic."""

    def __init__(
        self,
        auditor: Auditor,
        stream: Stream | None,
        progress: Progress | None = None,
        *,
        bytes_max: int = RECORD_BYTES_MAX,
    ) -> None:
        self._auditor = auditor
        self._stream = stream
        self._progress = progress or (lambda name, done, total: None)
        self._bytes_max = bytes_max
        self.tally: Counter[RecordKind] = Counter()
        """What the records of the topic were, found by `no_loss`."""

    async def __call__(self) -> Verdict:
        checks = []
        for name in BOOK_CHECKS:
            self._progress(name, 0, 1)
            checks.append(await self._auditor.check(name))
            self._progress(name, 1, 1)
        if self._stream is not None:
            checks.insert(2, await self._no_loss(self._stream))
        return Verdict(checks)

    async def _no_loss(self, stream: Stream) -> Check:
        """Read the topic up to where the books stand: every record is an outcome or a dead letter, and no more."""
        bounds = await stream.bounds()
        positions = await self._auditor.positions(stream.topic)
        ends = {at: min(end, positions.get(at, first)) for at, (first, end) in bounds.items()}
        total = sum(max(0, ends[at] - first) for at, (first, _) in bounds.items())
        checked, violations = 0, _ahead(bounds, positions)
        violations += await self._auditor.strays(stream.topic, list(bounds))
        for partition, (first, _) in sorted(bounds.items()):
            at = first
            async for records in stream.read(partition, first, ends[partition]):
                run = (at, records[-1].offset)
                _add(violations, await self._compare(stream.topic, partition, run, records))
                checked, at = checked + len(records), run[1] + 1
                self._progress("no_loss", checked, total)
            _add(violations, await self._compare(stream.topic, partition, (at, OFFSET_MAX), ()))
        return Check("no_loss", checked, violations[:VIOLATIONS_SHOWN_MAX])

    async def _compare(
        self, topic: str, partition: int, offsets: tuple[int, int], records: Sequence[Record]
    ) -> list[dict[str, Any]]:
        events, dead = _sort(records, self._bytes_max)
        handled = await self._auditor.handled(topic, partition, offsets, list(events.values()))
        self.tally.update(_kind_of(event, handled.stored.get(offset)) for offset, event in events.items())
        self.tally["dead"] += len(dead)
        found = chain(
            _wrong_events(events, handled),
            _wrong_letters(dead, handled),
            _invented_events(events, handled),
            _invented_letters(records, dead, handled),
        )
        shown = islice(found, VIOLATIONS_SHOWN_MAX)
        return [{"topic": topic, "partition": partition, **violation} for violation in shown]


def _add(violations: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """Add what was found, as long as it can be shown."""
    violations += found[: max(0, VIOLATIONS_SHOWN_MAX - len(violations))]


def _ahead(bounds: dict[int, tuple[int, int]], positions: dict[int, int]) -> list[dict[str, Any]]:
    """Find partitions of which the books claim more than the broker holds: the topic lost its end."""
    return [
        {"verdict": "more", "partition": at, "books": positions[at], "broker": end}
        for at, (_, end) in bounds.items()
        if positions.get(at, 0) > end
    ]


def _sort(
    records: Sequence[Record], bytes_max: int
) -> tuple[dict[int, Event], dict[int, tuple[Record, DeadLetterReason]]]:
    events: dict[int, Event] = {}
    dead: dict[int, tuple[Record, DeadLetterReason]] = {}
    for record in records:
        try:
            events[record.offset] = decode_record(record, bytes_max=bytes_max)
        except NotAnEventError as fault:
            dead[record.offset] = (record, fault.reason)
    return events, dead


def _kind_of(event: Event, stored: StoredEvent | None) -> RecordKind:
    if stored is not None and is_first(event, stored):
        return "first"
    return "duplicate" if stored is not None and stored.fingerprint == event.fingerprint else "reused"


def _wrong_events(events: dict[int, Event], handled: Handled) -> Violations:
    for offset, event in events.items():
        facts = {"offset": offset, "tenant": event.tenant, "event": event.id}
        stored = handled.stored.get(offset)
        if stored is None:
            yield {"verdict": "less", **facts}
        elif is_first(event, stored) and (changed := list(differences(event, stored))):
            yield {"verdict": "changed", **facts, "what": ", ".join(changed)}


def _wrong_letters(dead: dict[int, tuple[Record, DeadLetterReason]], handled: Handled) -> Violations:
    for offset, (record, reason) in dead.items():
        stored = handled.dead.get(offset)
        if stored is None:
            yield {"verdict": "less", "offset": offset, "dead_letter": True}
        elif changed := list(_letter_differences(record, reason, stored)):
            yield {"verdict": "changed", "offset": offset, "dead_letter": True, "what": ", ".join(changed)}


def _letter_differences(record: Record, reason: DeadLetterReason, stored: StoredLetter) -> Iterator[str]:
    yield from _changes(record, stored)
    if reason != stored.reason:
        yield "reason"


def _changes(record: Record, stored: StoredLetter) -> Iterator[str]:
    if not is_kept(record.value, stored.value):
        yield "value"
    if not is_kept(record.key, stored.key):
        yield "key"
    if stored.headers is None or not are_kept(record.headers, stored.headers):
        yield "headers"
    if record.timestamp_ms != stored.timestamp_ms:
        yield "timestamp"


def _invented_events(events: dict[int, Event], handled: Handled) -> Violations:
    for offset, key in handled.first_seen:
        if offset not in events or events[offset].identity != key:
            yield {"verdict": "more", "offset": offset, "tenant": key[0], "event": key[1]}


def _invented_letters(
    records: Sequence[Record], dead: dict[int, tuple[Record, DeadLetterReason]], handled: Handled
) -> Violations:
    """Find letters of what is no dead letter; one of an event that was posted since, by a replay, may stay."""
    by_offset = {record.offset: record for record in records}
    for offset, stored in handled.dead.items():
        if offset in dead:
            continue
        record = by_offset.get(offset) if offset in handled.stored else None
        if record is None:
            yield {"verdict": "more", "offset": offset, "dead_letter": True}
        elif changed := list(_changes(record, stored)):
            yield {"verdict": "changed", "offset": offset, "dead_letter": True, "what": ", ".join(changed)}
