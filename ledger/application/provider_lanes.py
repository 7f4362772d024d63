"""Lanes: so many places at a time for calls to each provider, and the tasks that work on payments."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from ledger.application.payment_ports import LaneName


class Place:
    """A place in a lane, until it is left."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def leave(self) -> None:
        """Make room for another; once more is harmless."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class ProviderLanes:
    """Places are taken at once or not at all: nobody waits for one with a payment in hand."""

    def __init__(self, failed: Callable[[BaseException], None] = lambda fault: None) -> None:
        self._failed = failed
        self._taken: Counter[LaneName] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self.left: Callable[[LaneName], None] = lambda name: None
        """Told the lane whenever a place in it was left."""
        self.done: Callable[[], None] = lambda: None
        """Told whenever work has ended."""

    def taken(self, name: LaneName) -> int:
        """Count the places that are taken in a lane."""
        return self._taken.get(name, 0)

    def busy_lanes(self) -> list[LaneName]:
        """Name the lanes in which places are taken."""
        return list(self._taken)

    def take(self, name: LaneName, places_max: int) -> Place | None:
        """Take one of so many places in a lane; None if all are taken."""
        if self.taken(name) >= places_max:
            return None
        self._taken[name] += 1
        return Place(partial(self._leave, name))

    def begin(self, work: Coroutine[Any, Any, None], place: Place | None = None) -> None:
        """Begin work on a payment; a place that it was given is left at its end at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, place))

    @property
    def in_hand(self) -> int:
        """How many payments are worked on."""
        return len(self._tasks)

    async def finish(self, within_s: float) -> None:
        """Wait for what was begun; what takes longer is given up, and found again when it is due."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _leave(self, name: LaneName) -> None:
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]
        self.left(name)

    def _ended(self, place: Place | None, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if place is not None:
            place.leave()
        self.done()
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._failed(fault)
