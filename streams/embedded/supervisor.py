"""Starts parts in order, keeps them alive, and stops them in reverse."""

import asyncio
from collections.abc import Callable

from ledger.observability.signals import Signals
from streams.embedded.keeper import Keeper, Patience
from streams.embedded.part import Part
from streams.embedded.state import ProcessRecord, StateDirectory

Changed = Callable[[], None]


class Supervisor:
    """Every call of `start` is one rank: its parts start together, after those of the ranks before."""

    def __init__(
        self, state: StateDirectory, signals: Signals, changed: Changed, patience: Patience | None = None
    ) -> None:
        self._state = state
        self._signals = signals
        self._changed = changed
        self._patience = patience or Patience()
        self._ranks: list[list[Keeper]] = []

    def records(self) -> tuple[ProcessRecord, ...]:
        """Every part in the order of its start."""
        return tuple(keeper.record() for rank in self._ranks for keeper in rank)

    async def start(self, *parts: Part) -> None:
        """Start the parts together; returns when all are ready, raises EmbeddedError when one fails."""
        keepers = [self._keeper(part) for part in parts]
        self._ranks.append(keepers)
        starts = [asyncio.create_task(keeper.start()) for keeper in keepers]
        try:
            await asyncio.gather(*starts)
        finally:
            for start in starts:
                start.cancel()

    async def stop(self) -> None:
        """Stop every part; a rank waits until the ranks after it have ended."""
        while self._ranks:
            await asyncio.gather(*(keeper.stop() for keeper in self._ranks[-1]))
            self._ranks.pop()

    def _keeper(self, part: Part) -> Keeper:
        return Keeper(part, self._state, self._signals, self._changed, self._patience)
