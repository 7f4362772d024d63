"""Whether requests can be answered, asked of the books once a second however often it is asked for."""

import asyncio
from collections.abc import Awaitable, Callable

REMEMBERED_S = 1.0


class Readiness:
    """Remembers for a second what `check` said; those who ask meanwhile share one answer."""

    def __init__(self, check: Callable[[], Awaitable[bool]], monotonic: Callable[[], float]) -> None:
        self._check = check
        self._monotonic = monotonic
        self._said = False
        self._said_at = -REMEMBERED_S
        self._asking = asyncio.Lock()

    async def __call__(self) -> bool:
        async with self._asking:
            if self._monotonic() - self._said_at >= REMEMBERED_S:
                self._said = await self._check()
                self._said_at = self._monotonic()
            return self._said
