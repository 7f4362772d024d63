"""The plan of a replay: records of all partitions in the order in which they were decided. Pure, in bounded memory."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from heapq import heappop, heappush, heapreplace

import msgspec

from ledger.contract.dead_letter import DeadLetter
from ledger.domain.books import EventKey
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    Event,
    OpenAccount,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
    ReverseTransaction,
    VoidHold,
    credit_of,
)
from ledger.domain.outcome import Earlier

EventPlace = tuple[str, int, int]
"""(topic, partition, offset)"""
Place = tuple[datetime, bool, int, int]
"""(time, whether it repeats an id, partition, offset)"""


class Fate(StrEnum):
    """What is done with a record."""

    POST = "post"
    LETTER = "dead_letter"
    """It is no event."""
    KNOWN = "known"
    """The books have it."""
    REUSED = "event_id_reused"
    """Its id stands for other content."""
    WAS_LETTER = "was_dead_letter"
    """It is in the hands of an operator, or was, who may have dropped or mended it."""
    HANDLED = "handled"
    """An operator took its letter in hand after it was read."""
    LEFT_OUT = "left_out"
    """A filter says so."""


class Judged(msgspec.Struct, frozen=True, gc=False):
    """One record, decoded: an event or a dead letter, and when the log took it."""

    offset: int
    taken_at: datetime | None
    event: Event | None = None
    letter: DeadLetter | None = None
    value: bytes | None = None
    """The bytes of an event that no topic has."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """One record at its place in the order."""

    at: datetime
    partition: int
    offset: int
    fate: Fate
    repeats: bool = False
    event: Event | None = None
    letter: DeadLetter | None = None
    precedent: Earlier | None = None
    value: bytes | None = None
    held: bool = False
    """Whether the books had it when it was read: this replay itself may have posted it before it was stopped."""

    @property
    def place(self) -> Place:
        return self.at, self.repeats, self.partition, self.offset


class Filters(msgspec.Struct, frozen=True):
    """Which events are meant; what is empty does not narrow."""

    tenants: Sequence[str] = ()
    types: Sequence[str] = ()
    accounts: Sequence[str] = ()
    ids: Sequence[str] = ()

    @property
    def narrow(self) -> bool:
        return bool(self.tenants or self.types or self.accounts or self.ids)


class Selection:
    """Tells which events are meant; remembers the newest ids taken, so that what refers to one is taken with it."""

    def __init__(self, filters: Filters, *, remember: int = 1_000_000) -> None:
        self._filters = filters
        self._tenants, self._types = frozenset(filters.tenants), frozenset(filters.types)
        self._accounts, self._ids = frozenset(filters.accounts), frozenset(filters.ids)
        self._remember = remember
        self._taken: dict[EventKey, None] = {}
        self.narrow = filters.narrow

    def take(self, event: Event) -> bool:
        """Tell whether `event` is meant."""
        return not self.narrow or (
            (not self._tenants or event.tenant in self._tenants)
            and (not self._types or event.type in self._types)
            and (not self._ids or event.id in self._ids)
            and (not self._accounts or self._names_account(event))
        )

    def _names_account(self, event: Event) -> bool:
        follows = (event.tenant, refers_to(event.command) or "") in self._taken
        if not follows and accounts_of(event.command).isdisjoint(self._accounts):
            return False
        self._taken[event.identity] = None
        if len(self._taken) > self._remember:
            del self._taken[next(iter(self._taken))]
        return True


def place_of(event: Event) -> EventPlace | None:
    """Say where an event stands; None: in no topic."""
    if event.topic is None or event.partition is None or event.offset is None:
        return None
    return event.topic, event.partition, event.offset


def refers_to(command: Command) -> str | None:
    """Name the hold or the transaction that a command is about."""
    match command:
        case ReverseTransaction():
            return command.transaction.lower()
        case CaptureHold() | VoidHold():
            return command.hold.lower()
    return None


def accounts_of(command: Command) -> set[str]:
    """Name the accounts that a command names."""
    match command:
        case PostTransfer():
            return {command.debit, command.credit}
        case PlaceHold() | RequestPayment():
            return {command.debit, credit_of(command)}
        case PostTransaction():
            return {line.account for line in command.entries}
        case OpenAccount() | CloseAccount():
            return {command.account}
        case ReverseTransaction() | CaptureHold() | VoidHold():
            return set()


class Known(msgspec.Struct, frozen=True):
    """What is known of the events of a page: in the books that are posted to, and as precedents."""

    there: Mapping[EventKey, Earlier] | None = None
    """None: the books began empty, and precedents alone tell which ids are taken."""
    precedents: Mapping[EventKey, Earlier] = {}
    own_since: datetime | None = None
    """What was posted since then may be this replay's own, and not published yet: it is posted again."""
    own_records: bool = False
    """So may what the books have of the very record that is replayed: nobody else posts it."""
    letters: Collection[EventPlace] = ()
    """Places at which dead letters were found, of events that the books do not have."""
    undecided_at: datetime | None = None
    """Where events stand that were never decided, and are now; None: where the log took them."""

    def has(self, event: Event) -> bool:
        """Tell whether the books have an event, and surely all that it caused was published."""
        found = self.there.get(event.identity) if self.there else None
        if found is None or (self.own_records and not _is_elsewhere(event, found)):
            return False
        return self.own_since is None or found.posted_at < self.own_since

    def fate_of(self, event: Event) -> Fate:
        """Tell what is done with an event, if it is meant."""
        if self._is_reused(event):
            return Fate.REUSED
        if self.has(event):
            return Fate.KNOWN
        return Fate.WAS_LETTER if self.letters and place_of(event) in self.letters else Fate.POST

    def _is_reused(self, event: Event) -> bool:
        """Tell whether its id stands for other content in the books; those that begin empty will stand so."""
        there = self.precedents if self.there is None else self.there
        found = there.get(event.identity)
        return found is not None and found.fingerprint != event.fingerprint


def place(partition: int, page: Sequence[Judged], known: Known, floor: datetime) -> list[Placed]:
    """Place a page of one partition, of which all before was decided by `floor`.

    An event stands at the time of its decision, one that never came to any at the time at which the log took it, or
    where `known` has those; nothing goes before what stands before it in its partition.
    """
    placed = []
    for each in page:
        found = _placed(partition, each, known, floor)
        floor = found.at
        placed.append(found)
    return placed


def choose(placed: Placed, selection: Selection) -> Placed:
    """Leave a record out if it is not meant.

    Ask in the order of all partitions: what follows on an event is meant with it, wherever it stands.
    """
    event = placed.event
    meant = not selection.narrow if event is None else selection.take(event)
    return placed if meant else msgspec.structs.replace(placed, fate=Fate.LEFT_OUT)


def _placed(partition: int, judged: Judged, known: Known, floor: datetime) -> Placed:
    event = judged.event
    if event is None:
        return Placed(floor, partition, judged.offset, Fate.LETTER, letter=judged.letter)
    precedent = known.precedents.get(event.identity)
    other = precedent is not None and precedent.fingerprint != event.fingerprint
    held = known.there is not None and event.identity in known.there
    own = judged.taken_at if precedent is None else precedent.posted_at
    if precedent is None and not held:
        # Before what was decided, it would have that dated as late as itself.
        own = known.undecided_at or own
    return Placed(
        floor if own is None else max(floor, own),
        partition,
        judged.offset,
        known.fate_of(event),
        precedent is not None and (other or _is_elsewhere(event, precedent)),
        event,
        precedent=None if other else precedent,
        value=judged.value,
        held=held,
    )


def _is_elsewhere(event: Event, precedent: Earlier) -> bool:
    """Tell whether another record was the one that was decided."""
    there = (precedent.topic, precedent.partition, precedent.offset)
    return precedent.offset is not None and there != (event.topic, event.partition, event.offset)


class Merge:
    """Merges the partitions' placed records; asks for more where it cannot tell what comes next."""

    def __init__(self, partitions: Collection[int]) -> None:
        self._waiting: dict[int, deque[Placed]] = {partition: deque() for partition in partitions}
        self._heads: list[tuple[Place, Placed]] = []

    @property
    def lacking(self) -> list[int]:
        """The partitions of which more must be offered, or their end be told, before anything can be taken."""
        headed = {placed.partition for _, placed in self._heads}
        return [partition for partition in self._waiting if partition not in headed]

    @property
    def at_end(self) -> bool:
        """Whether every partition has ended, and all was taken."""
        return not self._waiting

    def offer(self, partition: int, page: Sequence[Placed]) -> None:
        """Add what follows in a partition that lacks records."""
        self._waiting[partition].extend(page)
        self._advance(partition)

    def end(self, partition: int) -> None:
        """Say that nothing follows in a partition that lacks records."""
        del self._waiting[partition]

    def take(self) -> Iterator[Placed]:
        """Take records in order, until a partition lacks some."""
        while len(self._heads) == len(self._waiting) and self._heads:
            _, placed = self._heads[0]
            waiting = self._waiting[placed.partition]
            if waiting:
                head = waiting.popleft()
                heapreplace(self._heads, (head.place, head))
            else:
                heappop(self._heads)
            yield placed

    def _advance(self, partition: int) -> None:
        waiting = self._waiting[partition]
        if waiting:
            head = waiting.popleft()
            heappush(self._heads, (head.place, head))
