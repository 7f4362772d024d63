"""Verify the books: checks in SQL over one snapshot, and the stream read again record by record."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from ledger.contract.dead_letter import NotAnEventError, Record
from ledger.contract.decode import RECORD_BYTES_MAX, decode_event
from ledger.domain.audit import VIOLATIONS_SHOWN_MAX, Check, Verdict
from ledger.domain.commands import Event

BOOK_CHECKS = ("zero_sum", "one_outcome", "balances", "versions", "holds")

RecordKind = Literal["first", "duplicate", "reused", "dead"]

Progress = Callable[[str, int, int], None]
"""Called with the name of a check, and how many of how many things it has looked at."""


class Handled(msgspec.Struct, frozen=True):
    """How the books handled the records of a run of a partition."""

    fingerprints: dict[tuple[str, str], bytes]
    """By (tenant, event id)."""
    first_seen: dict[int, tuple[str, str]]
    """(tenant, event id) by the offset at which the books say that they first saw it."""
    dead: dict[int, bytes | None]
    """Value of the dead letter by offset."""


class Auditor(Protocol):
    """One snapshot of the books, to be audited."""

    async def check(self, name: str) -> Check:
        """Run one of BOOK_CHECKS."""
        ...

    async def positions(self, topic: str) -> dict[int, int]:
        """Give, by partition, the offset before which the books say that all is handled."""
        ...

    async def handled(
        self, topic: str, partition: int, offsets: tuple[int, int], events: Sequence[Event]
    ) -> Handled:
        """Look up `events`, and whatever the books place at offsets from the first to before the second."""
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
        total = sum(max(0, positions.get(at, 0) - first) for at, (first, _) in bounds.items())
        checked, violations = 0, _ahead(bounds, positions)
        for partition, (first, end) in sorted(bounds.items()):
            at = first
            async for records in stream.read(partition, first, min(end, positions.get(partition, first))):
                after = records[-1].offset + 1
                violations += await self._compare(stream.topic, partition, (at, after), records)
                checked, at = checked + len(records), after
                self._progress("no_loss", checked, total)
        return Check("no_loss", checked, violations[:VIOLATIONS_SHOWN_MAX])

    async def _compare(
        self, topic: str, partition: int, offsets: tuple[int, int], records: Sequence[Record]
    ) -> list[dict[str, Any]]:
        events, dead = _sort(records, self._bytes_max)
        handled = await self._auditor.handled(topic, partition, offsets, list(events.values()))
        self.tally.update(_kind_of(event, offset, handled) for offset, event in events.items())
        self.tally["dead"] += len(dead)
        found = list(_lost_events(events, handled)) + list(_lost_letters(dead, handled))
        found += [
            {"verdict": "more", "offset": offset, "tenant": key[0], "event": key[1]}
            for offset, key in handled.first_seen.items()
            if offset not in events or events[offset].identity != key
        ]
        found += [
            {"verdict": "more", "offset": offset, "dead_letter": True}
            for offset in handled.dead
            if offset not in dead
        ]
        return [{"topic": topic, "partition": partition, **violation} for violation in found]


def _ahead(bounds: dict[int, tuple[int, int]], positions: dict[int, int]) -> list[dict[str, Any]]:
    """Find partitions of which the books claim more than the broker holds: the topic lost its end."""
    return [
        {"verdict": "more", "partition": at, "books": positions[at], "broker": end}
        for at, (_, end) in bounds.items()
        if positions.get(at, 0) > end
    ]


def _sort(records: Sequence[Record], bytes_max: int) -> tuple[dict[int, Event], dict[int, Record]]:
    events: dict[int, Event] = {}
    dead: dict[int, Record] = {}
    for record in records:
        try:
            events[record.offset] = decode_event(
                record.value, partition=record.partition, offset=record.offset, bytes_max=bytes_max
            )
        except NotAnEventError:
            dead[record.offset] = record
    return events, dead


def _kind_of(event: Event, offset: int, handled: Handled) -> RecordKind:
    if handled.first_seen.get(offset) == event.identity:
        return "first"
    return "duplicate" if handled.fingerprints.get(event.identity) == event.fingerprint else "reused"


def _lost_events(events: dict[int, Event], handled: Handled) -> Any:
    for offset, event in events.items():
        if event.identity not in handled.fingerprints:
            yield {"verdict": "less", "offset": offset, "tenant": event.tenant, "event": event.id}


def _lost_letters(dead: dict[int, Record], handled: Handled) -> Any:
    for offset, record in dead.items():
        if offset not in handled.dead:
            yield {"verdict": "less", "offset": offset, "dead_letter": True}
        elif handled.dead[offset] != record.value:
            yield {"verdict": "changed", "offset": offset, "dead_letter": True}
