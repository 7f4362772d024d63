"""Tell how the breakers of this worker stand, so that the API and operators see why payments wait."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from ledger.application.breaker import BreakerState, BreakerView, Monotonic
from ledger.application.faults import TransientFaultError
from ledger.application.ports import Clock
from ledger.application.provider_reading import BreakerBoard, BreakerTold
from ledger.observability.signals import Signals

LOOK_S = 0.5
TELL_S = 5.0
FORGET_S = 60.0
"""What nobody told again for so long is dropped by whoever tells next."""

Views = Callable[[], Mapping[tuple[str, str], BreakerView]]


class TellBreakers:
    """Tells at once when a breaker changes, and else every few seconds."""

    def __init__(
        self,
        views: Views,
        board: BreakerBoard,
        clock: Clock,
        monotonic: Monotonic,
        worker: str,
        signals: Signals,
    ) -> None:
        self._views = views
        self._board = board
        self._clock = clock
        self._monotonic = monotonic
        self._worker = worker
        self._signals = signals
        self._told: dict[tuple[str, str], BreakerState] = {}
        self._told_at = float("-inf")

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Tell, if it is time to."""
        views = self._views()
        states = {key: view.state for key, view in views.items()}
        is_late = self._monotonic() - self._told_at >= TELL_S
        if states == self._told and not (is_late and states):
            return
        now = self._clock.now()
        try:
            await self._board.tell(self._worker, self._written(views, now), now - timedelta(seconds=FORGET_S))
        except TransientFaultError as fault:
            self._signals.emit("breakers.not_told", fault=str(fault))
            return
        self._told, self._told_at = states, self._monotonic()

    def _written(self, views: Mapping[tuple[str, str], BreakerView], now: datetime) -> Sequence[BreakerTold]:
        ticks = self._monotonic()

        def moment(at: float) -> datetime:
            return now + timedelta(seconds=at - ticks)

        return [
            BreakerTold(
                tenant=tenant,
                provider=provider,
                worker=self._worker,
                state=view.state,
                since=moment(view.since),
                retry_at=None if view.retry_at is None else moment(view.retry_at),
                calls=view.calls,
                bad=view.bad,
                told_at=now,
            )
            for (tenant, provider), view in sorted(views.items())
        ]
