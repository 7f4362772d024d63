"""Looks at what many watch: however many they are, the books are asked as often as by one, and rest in between."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Seen = TypeVar("Seen")

REMEMBERED_S = 1.0
REMEMBERED_MAX_S = 30.0
RESTS = 20
"""What a look found is remembered for so many times as long as it took: of counting much, little is done."""


class _Look(Generic[Seen]):
    def __init__(self) -> None:
        self.one = asyncio.Lock()
        self.seen: Seen | None = None
        self.good_until = float("-inf")


class SharedLooks(Generic[Seen]):
    """Remembers by name what was seen; those who ask meanwhile share one look. `monotonic` counts seconds.

    What was seen and is not whole, because something could not be asked, is soon looked at again.
    """

    def __init__(self, monotonic: Callable[[], float], is_whole: Callable[[Seen], bool]) -> None:
        self._monotonic = monotonic
        self._is_whole = is_whole
        self._looks: dict[Hashable, _Look[Seen]] = {}

    async def of(self, name: Hashable, look: Callable[[], Awaitable[Seen]]) -> Seen:
        """Give what was seen under a name not long ago, or look; raises as `look` does."""
        found = self._looks.setdefault(name, _Look())
        async with found.one:
            if found.seen is None or self._monotonic() >= found.good_until:
                begun = self._monotonic()
                found.seen = await look()
                ended = self._monotonic()
                found.good_until = ended + self._remembered_s(found.seen, ended - begun)
                self._forget_old(ended)
            return found.seen

    def _remembered_s(self, seen: Seen, took_s: float) -> float:
        if not self._is_whole(seen):
            return REMEMBERED_S
        return min(max(REMEMBERED_S, RESTS * took_s), REMEMBERED_MAX_S)

    def _forget_old(self, now: float) -> None:
        for name, each in list(self._looks.items()):
            if now >= each.good_until and not each.one.locked():
                del self._looks[name]
