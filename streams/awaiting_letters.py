"""What came of dead letters that were sent again: the books are asked until they have handled the records."""

import asyncio
from collections.abc import Mapping, Sequence
from enum import StrEnum
from time import monotonic

import msgspec

from ledger.adapters.postgres.dead_letters import PostgresDeadLetters
from ledger.adapters.postgres.gaps import PostgresPositions
from ledger.adapters.postgres.precedents import PostgresPrecedents
from ledger.application.dead_letters import LetterSummary, Place, Sent, pages_of
from ledger.application.gaps import BooksPositions
from ledger.application.replaying import Precedents
from ledger.domain.books import EventKey
from ledger.domain.outcome import Earlier
from ledger.domain.rejection import Reason

LOOK_S = 0.1


class Became(StrEnum):
    """What a record became in the books."""

    POSTED = "posted"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    """The books had this event by another record."""
    DEAD_LETTER = "dead_letter"
    PENDING = "pending"
    """The books have not come to it yet."""
    UNKNOWN = "unknown"
    """The books have passed it, and know nothing of it any more."""


class Fate(msgspec.Struct, frozen=True):
    """What came of one letter."""

    letter: Place
    record: Place
    became: Became
    reason: str | None = None
    detail: str | None = None


class AwaitLetters:
    """Waits for records that were sent, and tells what they became."""

    def __init__(
        self, positions: BooksPositions, letters: PostgresDeadLetters, precedents: Precedents
    ) -> None:
        self._positions = positions
        self._letters = letters
        self._precedents = precedents

    @classmethod
    def over(cls, letters: PostgresDeadLetters) -> "AwaitLetters":
        """Ask the books in which the letters are."""
        return cls(PostgresPositions(letters.pool), letters, PostgresPrecedents(letters.pool))

    async def __call__(self, sent: Sequence[Sent], wait_s: float) -> list[Fate]:
        """Wait up to `wait_s` seconds until the books have handled every record; may raise TransientFaultError."""
        await self._until_handled(sent, monotonic() + wait_s)
        by_record = {each.record: each for each in sent}
        fates: list[Fate] = []
        for page in pages_of(list(by_record)):
            fates += await self._fates([by_record[place] for place in page])
        return fates

    async def _until_handled(self, sent: Sequence[Sent], deadline: float) -> None:
        while True:
            positions = await self._stand(sent)
            if monotonic() >= deadline or all(is_handled(each.record, positions) for each in sent):
                return
            await asyncio.sleep(LOOK_S)

    async def _stand(self, sent: Sequence[Sent]) -> dict[str, Mapping[int, int]]:
        topics = {each.record.topic for each in sent}
        return {topic: await self._positions.positions(topic) for topic in topics}

    async def _fates(self, sent: Sequence[Sent]) -> list[Fate]:
        positions = await self._stand(sent)
        letters = await self._letters.summaries([each.record for each in sent])
        came_back = {each.place: each for each in letters}
        known = await self._precedents.of([each.event for each in sent if each.event is not None])
        return [fate_of(each, came_back, known, handled=is_handled(each.record, positions)) for each in sent]


def is_handled(place: Place, positions: Mapping[str, Mapping[int, int]]) -> bool:
    """Tell whether books at `positions` have passed a record."""
    return positions[place.topic].get(place.partition, 0) > place.offset


def fate_of(
    sent: Sent,
    came_back: Mapping[Place, LetterSummary],
    known: Mapping[EventKey, Earlier],
    *,
    handled: bool,
) -> Fate:
    """Say what a record became, by what the books know of it."""
    letter = came_back.get(sent.record)
    if letter is not None:
        return Fate(sent.letter, sent.record, Became.DEAD_LETTER, letter.reason, letter.detail)
    if not handled:
        return Fate(sent.letter, sent.record, Became.PENDING)
    found = None if sent.event is None else known.get(sent.event.identity)
    if found is None or sent.event is None:
        return Fate(sent.letter, sent.record, Became.UNKNOWN)
    if found.fingerprint != sent.event.fingerprint:
        return Fate(sent.letter, sent.record, Became.REJECTED, Reason.EVENT_ID_REUSED)
    became = Became(found.kind)
    if (found.topic, found.partition, found.offset) != sent.record:
        became = Became.DUPLICATE
    return Fate(sent.letter, sent.record, became, found.reason, found.detail)
