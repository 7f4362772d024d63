"""Dead letters in a dictionary, with the semantics of the real ones."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from ledger.application.dead_letters import (
    Action,
    EnsureHeld,
    LetterQuery,
    LetterSummary,
    Place,
    StoredLetter,
)
from ledger.contract.dead_letter import DeadLetter


class MemoryDeadLetters:
    """DeadLetters that were given at the start."""

    def __init__(self, letters: Iterable[DeadLetter] = ()) -> None:
        stored = (StoredLetter(letter) for letter in letters)
        self._letters = {each.place: each.letter for each in stored}
        self.actions: list[tuple[Place, Action]] = []
        self._lock = asyncio.Lock()

    async def find(
        self, query: LetterQuery, limit: int, after: Place | None = None
    ) -> Sequence[LetterSummary]:
        meant = [each for each in self._in_order(self._letters) if _is_meant(each, query)]
        if after is not None:
            begin = self._letters[after].at, after
            meant = [each for each in meant if (each.letter.at, each.place) > begin]
        return [_summary(each) for each in meant[:limit]]

    async def read(self, places: Sequence[Place]) -> Sequence[StoredLetter]:
        return self._in_order(place for place in places if place in self._letters)

    async def summaries(self, places: Sequence[Place]) -> Sequence[LetterSummary]:
        return [_summary(each) for each in await self.read(places)]

    async def came_back_of(self, place: Place, limit: int) -> Sequence[LetterSummary]:
        said = [each for each in self._in_order(self._letters) if each.origin == place]
        return [_summary(each) for each in said[:limit]]

    async def record(self, places: Sequence[Place], action: Action) -> None:
        self.actions += [(place, action) for place in places]

    @asynccontextmanager
    async def held(self) -> AsyncIterator[EnsureHeld]:
        async with self._lock:
            yield self._ensure_held

    async def _ensure_held(self) -> None:
        """Who has the lock keeps it."""

    def _in_order(self, places: Iterable[Place]) -> list[StoredLetter]:
        newest = dict(self.actions)
        stored = (StoredLetter(self._letters[place], newest.get(place)) for place in places)
        return sorted(stored, key=lambda each: (each.letter.at, each.place))


def _is_meant(stored: StoredLetter, query: LetterQuery) -> bool:
    letter = stored.letter
    return (
        query.reason in (None, letter.reason)
        and (query.since is None or letter.at >= query.since)
        and (query.until is None or letter.at < query.until)
        and query.topic in (None, letter.record.topic)
        and query.partition in (None, letter.record.partition)
        and (query.handled_too or stored.action is None)
    )


def _summary(stored: StoredLetter) -> LetterSummary:
    letter = stored.letter
    size = None if letter.record.value is None else len(letter.record.value)
    return LetterSummary(
        stored.place, letter.reason, letter.detail, letter.at, size, stored.action, stored.origin
    )
