"""Dead letters in the hands of an operator: found, sent again, or dropped, and each deed written down."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol, Self

import msgspec

from ledger.application.ports import Clock
from ledger.application.replaying import Precedents
from ledger.contract.dead_letter import (
    ORIGIN,
    DeadLetter,
    DeadLetterReason,
    Header,
    NotAnEventError,
    bytes_of_address,
)
from ledger.contract.decode import (
    ADDRESS_BYTES_MAX,
    RECORD_BYTES_MAX,
    check_address,
    decode_event,
    decode_record,
)
from ledger.contract.keys import KeyChooser
from ledger.contract.outgoing import CONTENT_TYPE, Message
from ledger.domain.commands import Event
from ledger.observability.crash import crash_point

PAGE_LETTERS_MAX = 100
"""Letters sent, and then written down, at a time: each may be a MiB."""
SUMMARIES_MAX = 1000
"""Letters looked for at a time."""


class PlaceFormatError(ValueError):
    """What should name a dead letter does not."""


class Place(NamedTuple):
    """Where a dead letter was read; in text `TOPIC/PARTITION/OFFSET`."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `TOPIC/PARTITION/OFFSET`; raises PlaceFormatError."""
        topic, partition, offset = ["", "", *text.rsplit("/", 2)][-3:]
        if not (topic and _is_count(partition, bits=31) and _is_count(offset, bits=63)):
            raise PlaceFormatError(f"{text!r} names no dead letter: TOPIC/PARTITION/OFFSET does")
        return cls(topic, int(partition), int(offset))

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def origin_of(headers: Sequence[Header]) -> Place | None:
    """Name the dead letter that a record with these headers was before; None: none, or nothing that names one."""
    for name, value in reversed(headers):
        if name == ORIGIN:
            try:
                return Place.parse((value or b"").decode("utf-8", "replace"))
            except PlaceFormatError:
                return None
    return None


def _is_count(text: str, *, bits: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**bits


class Deed(StrEnum):
    """What an operator can do about a dead letter."""

    REQUEUED = "requeued"
    DROPPED = "dropped"


class Action(msgspec.Struct, frozen=True):
    """A deed, by whom and when; `edited_value` is what was sent instead of the letter itself."""

    deed: Deed
    by: str
    at: datetime
    why: str | None = None
    edited_value: bytes | None = None


class LetterSummary(msgspec.Struct, frozen=True):
    """What a list shows of a dead letter; without an action it is open."""

    place: Place
    reason: DeadLetterReason
    detail: str
    at: datetime
    bytes: int | None
    """Length of the value; None: a tombstone."""
    action: Action | None = None
    origin: Place | None = None
    """The letter that it was before, as its record says."""


class StoredLetter(msgspec.Struct, frozen=True):
    """A dead letter with its bytes, and its newest action."""

    letter: DeadLetter
    action: Action | None = None

    @property
    def place(self) -> Place:
        record = self.letter.record
        return Place(record.topic, record.partition, record.offset)

    @property
    def origin(self) -> Place | None:
        """The letter that it was before, as its record says."""
        return origin_of(self.letter.record.headers)


class LetterQuery(msgspec.Struct, frozen=True):
    """Which dead letters are meant; what is None does not narrow."""

    reason: DeadLetterReason | None = None
    since: datetime | None = None
    until: datetime | None = None
    topic: str | None = None
    partition: int | None = None
    handled_too: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether nothing narrows it."""
        return all(each is None for each in (self.reason, self.since, self.until, self.topic, self.partition))


EnsureHeld = Callable[[], Awaitable[None]]
"""Raises TransientFaultError where letters are not in one's hands any more: what held them is gone."""


class DeadLetters(Protocol):
    """The dead letters, where they are kept. Every method may raise TransientFaultError."""

    async def find(
        self, query: LetterQuery, limit: int, after: Place | None = None
    ) -> Sequence[LetterSummary]:
        """Find letters, the oldest first; with `after`, those that come after that letter."""
        ...

    async def read(self, places: Sequence[Place]) -> Sequence[StoredLetter]:
        """Read the letters that are there, the oldest first."""
        ...

    async def summaries(self, places: Sequence[Place]) -> Sequence[LetterSummary]:
        """Tell of the letters that are there, the oldest first."""
        ...

    async def came_back_of(self, place: Place, limit: int) -> Sequence[LetterSummary]:
        """Find the letters that say that they were the one at `place` before, the oldest first."""
        ...

    async def record(self, places: Sequence[Place], action: Action) -> None:
        """Write down that `action` was done about each of the letters."""
        ...

    def held(self) -> AbstractAsyncContextManager[EnsureHeld]:
        """Let nobody else who asks for them do anything about letters meanwhile.

        Gives what is to be asked right before letters are acted upon, for what holds them may be lost.
        """
        ...


class Payments(Protocol):
    """The topic of events in."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Place]:
        """Return once every in-sync replica has them, and say where; what fails may have been written in part."""
        ...


class NoSuchLetterError(Exception):
    """There is no dead letter at a place."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"There is no dead letter at {place}.")


class LetterHandledError(Exception):
    """The dead letter was requeued or dropped before."""

    def __init__(self, place: Place, action: Action) -> None:
        why = f" ({action.why})" if action.why else ""
        super().__init__(f"{place} was {action.deed} by {action.by} at {action.at:%Y-%m-%dT%H:%M:%SZ}{why}.")


class LetterPostedError(Exception):
    """A replay posted the dead letter's event, and was stopped before it wrote that down, or before it published it."""

    def __init__(self, place: Place) -> None:
        super().__init__(
            f"The books have posted {place}: a replay that did was stopped before it wrote that down. "
            f"`ledger replay --live --place {place}` does."
        )


class Sent(msgspec.Struct, frozen=True):
    """A letter that was sent again: as which record, and the event that it is; None: it will come back."""

    letter: Place
    record: Place
    event: Event | None


class Done(msgspec.Struct, frozen=True):
    """What was done about which letters, and what was sent."""

    places: Sequence[Place]
    sent: Sequence[Sent] = ()

    @property
    def not_events(self) -> list[Place]:
        """Those that will come back as dead letters."""
        return [each.letter for each in self.sent if each.event is None]


async def read_letters(
    letters: DeadLetters, places: Sequence[Place], *, again: bool = False
) -> Sequence[StoredLetter]:
    """Read every one of `places`; raises NoSuchLetterError and, unless `again`, LetterHandledError."""
    found = await letters.read(places)
    by_place = {stored.place: stored for stored in found}
    for place in places:
        if place not in by_place:
            raise NoSuchLetterError(place)
        action = by_place[place].action
        if action is not None and not again:
            raise LetterHandledError(place, action)
    return found


async def places_of(letters: DeadLetters, query: LetterQuery, limit: int) -> list[Place]:
    """Find the places of at most `limit` letters that are meant, the oldest first.

    All before any of them is sent: one that comes back as a new dead letter must not be met again.
    """
    places: list[Place] = []
    while len(places) < limit:
        size = min(SUMMARIES_MAX, limit - len(places))
        page = await letters.find(query, size, places[-1] if places else None)
        places += [summary.place for summary in page]
        if len(page) < size:
            break
    return places


class RefusePosted:
    """Refuses letters that the books have posted from where they stand, though they look open."""

    def __init__(self, posted: Precedents, *, bytes_max: int = RECORD_BYTES_MAX) -> None:
        self._posted = posted
        self._bytes_max = bytes_max

    async def __call__(self, stored: Sequence[StoredLetter]) -> None:
        """Raises LetterPostedError; may raise TransientFaultError."""
        events = [(each.place, event_of(each.letter, self._bytes_max)) for each in stored]
        found = await self._posted.of([event for _, event in events if event])
        for place, event in events:
            earlier = found.get(event.identity) if event else None
            if earlier is not None and (earlier.topic, earlier.partition, earlier.offset) == place:
                raise LetterPostedError(place)


def event_of(letter: DeadLetter, bytes_max: int) -> Event | None:
    """Decode a letter anew; None: it is no event to this version either."""
    try:
        return decode_record(letter.record, bytes_max=bytes_max)
    except NotAnEventError:
        return None


def pages_of(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    """Part places into what is sent, and then written down, at a time."""
    for begin in range(0, len(places), PAGE_LETTERS_MAX):
        yield places[begin : begin + PAGE_LETTERS_MAX]


class RequeueLetters:
    """Sends dead letters to `payments` again, byte for byte or edited.

    Written down only once Kafka has them: after a crash between the two they are still open, and at worst sent
    twice, which is absorbed like any event that comes twice.
    """

    def __init__(
        self,
        letters: DeadLetters,
        payments: Payments,
        clock: Clock,
        refuse_posted: RefusePosted,
        *,
        bytes_max: int = RECORD_BYTES_MAX,
    ) -> None:
        self._letters = letters
        self._payments = payments
        self._refuse_posted = refuse_posted
        self._clock = clock
        self._bytes_max = bytes_max

    async def __call__(
        self, places: Sequence[Place], by: str, why: str | None = None, *, again: bool = False
    ) -> Done:
        """Send the letters as they came; raises NoSuchLetterError or LetterHandledError before anything is sent."""
        async with self._letters.held() as ensure_held:
            stored = await read_letters(self._letters, places, again=again)
            await ensure_held()
            records = await self._payments.send([_as_it_came(each) for each in stored])
            crash_point("letter_sent")
            await self._letters.record(places, Action(Deed.REQUEUED, by, self._clock.now(), why))
        sent = [
            Sent(each.place, record, event_of(each.letter, self._bytes_max))
            for each, record in zip(stored, records, strict=True)
        ]
        return Done(places, sent)

    async def edited(
        self, place: Place, value: bytes, by: str, why: str | None = None, *, again: bool = False
    ) -> Done:
        """Send `value` in place of the letter's bytes; raises NotAnEventError if it is no event either.

        Raises LetterPostedError unless `again`: under another id it would be posted twice.
        """
        event = decode_event(value, bytes_max=self._bytes_max)
        async with self._letters.held() as ensure_held:
            [stored] = await read_letters(self._letters, [place], again=again)
            if not again:
                await self._refuse_posted([stored])
            check_address(stored.letter.record.key, stored.letter.record.headers)
            await ensure_held()
            [record] = await self._payments.send([_edited(stored, event, value)])
            crash_point("letter_sent")
            await self._letters.record([place], Action(Deed.REQUEUED, by, self._clock.now(), why, value))
        return Done([place], [Sent(place, record, event)])


def _as_it_came(stored: StoredLetter) -> Message:
    record = stored.letter.record
    return Message(record.key, record.value, _linked(record.key, record.headers, stored.place))


def _edited(stored: StoredLetter, event: Event, value: bytes) -> Message:
    """The producer's key stays, with its order; what came without one gets the key that the contract asks for."""
    record = stored.letter.record
    key = KeyChooser().key_of(event) if record.key is None else record.key
    name, _ = CONTENT_TYPE
    others = tuple(header for header in record.headers if header[0].lower() != name)
    return Message(key, value, _linked(key, (CONTENT_TYPE, *others), stored.place))


def _linked(key: bytes | None, headers: Sequence[Header], place: Place) -> tuple[Header, ...]:
    """Headers that name the letter; not where that would make the record too large to be an event."""
    others = tuple(header for header in headers if header[0] != ORIGIN)
    linked = (*others, (ORIGIN, str(place).encode()))
    return linked if bytes_of_address(key, linked) <= ADDRESS_BYTES_MAX else others


class DropLetters:
    """Writes down that dead letters are not to be sent again, and why; their bytes stay."""

    def __init__(self, letters: DeadLetters, clock: Clock, refuse_posted: RefusePosted) -> None:
        self._letters = letters
        self._clock = clock
        self._refuse_posted = refuse_posted

    async def __call__(self, places: Sequence[Place], by: str, why: str) -> Done:
        """Drop the letters.

        Raises NoSuchLetterError, LetterHandledError or LetterPostedError before any is dropped.
        """
        async with self._letters.held() as ensure_held:
            await self._refuse_posted(await read_letters(self._letters, places))
            await ensure_held()
            await self._letters.record(places, Action(Deed.DROPPED, by, self._clock.now(), why))
        return Done(places)
