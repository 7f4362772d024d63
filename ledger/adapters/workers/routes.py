"""Which windows worker to ask for a key: learned from any of them, and learned anew when that turns out wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from aiokafka.partitioner import murmur2

from ledger.adapters.workers.wire import Routes
from ledger.application.breaker import Monotonic
from ledger.application.stream_reading import Cause, StreamAwayError
from ledger.observability.signals import Signals

REFRESH_PAUSE_S = 0.2
"""Routes are not asked for more often than this, however many readers find them wrong."""
ASKED_MAX = 4
"""How many workers are asked for routes at a time."""

AskRoutes = Callable[[str], Awaitable[Routes]]
"""Asks the worker at a base URL; raises StreamAwayError."""


class RouteTable:
    """The routes as they were last learned. One refresh runs at a time, and all who want one wait for the same."""

    def __init__(
        self,
        seeds: Sequence[str],
        ask: AskRoutes,
        monotonic: Monotonic,
        signals: Signals,
        random: Random,
    ) -> None:
        self._seeds = tuple(seeds)
        self._ask = ask
        self._monotonic = monotonic
        self._signals = signals
        self._random = random
        self._known: Routes | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = float("-inf")

    async def owner(self, key: bytes) -> str:
        """Find the worker that holds a key; raises StreamAwayError where there is none."""
        if self._known is None:
            await self.refresh()
        routes = self._known
        if routes is None:
            raise StreamAwayError(Cause.UNREACHABLE, "no windows worker tells who holds what")
        partition = partition_of(key, routes.partitions)
        if partition not in routes.urls:
            self.doubt()
            raise StreamAwayError(Cause.NOT_READY, f"nobody holds partition {partition}")
        return routes.urls[partition]

    @property
    def urls(self) -> frozenset[str]:
        """All workers that are known."""
        held = self._known.urls.values() if self._known is not None else ()
        return frozenset((*self._seeds, *held))

    def doubt(self) -> None:
        """Have the routes learned anew, without waiting for it."""
        if self._refreshing is None and self._monotonic() - self._refreshed_at >= REFRESH_PAUSE_S:
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)

    async def refresh(self) -> None:
        """Learn the routes anew, unless that was done just now."""
        self.doubt()
        if self._refreshing is not None:
            # Whoever waits may give up; the others still want it.
            await asyncio.shield(self._refreshing)

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        self._refreshed_at = self._monotonic()
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._signals.emit("windows.routes_not_learned", error=repr(fault))

    async def _refresh(self) -> None:
        """Ask a few workers at once; those of the latest generation know best."""
        urls = sorted(self.urls)
        asked = self._random.sample(urls, min(len(urls), ASKED_MAX))
        answers = await asyncio.gather(*(self._ask(url) for url in asked), return_exceptions=True)
        found = [answer for answer in answers if isinstance(answer, Routes)]
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, StreamAwayError):
                raise answer
        if found:
            learned = max(found, key=lambda routes: routes.generation)
            if learned != self._known:
                self._signals.emit(
                    "windows.routes_learned", generation=learned.generation, workers=len(self.urls)
                )
            self._known = learned

    async def close(self) -> None:
        """Stop learning."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])


def partition_of(key: bytes, partitions: int) -> int:
    """Say which partition has a record of this key: murmur2, as every writer of the ledger chooses it."""
    hashed: int = murmur2(key) & 0x7FFFFFFF
    return hashed % partitions
