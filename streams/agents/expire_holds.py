"""The sweep for expired holds: beside the posting agent, on the one worker that holds partition 0."""

import asyncio
from collections.abc import Callable

from ledger.application.expire_holds import ExpireHolds
from ledger.application.faults import TransientFaultError
from ledger.config import Settings
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals
from streams.publishing import PatientPublisher, to_topic


class HoldSweep:
    """Looks every `hold_sweep_s` seconds; the events it sends are posted like any other."""

    def __init__(
        self,
        expire: ExpireHolds,
        publisher: PatientPublisher,
        settings: Settings,
        signals: Signals,
        is_mine: Callable[[], bool],
    ) -> None:
        self._expire = expire
        self._publisher = publisher
        self._settings = settings
        self._signals = signals
        self._is_mine = is_mine

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(self._settings.hold_sweep_s)
            if self._is_mine():
                await self._sweep()

    async def _sweep(self) -> None:
        try:
            messages = await self._expire()
        except TransientFaultError as fault:
            self._signals.emit("holds.not_swept", fault=str(fault))
            return
        if messages:
            topic = self._settings.payments_topic
            await self._publisher.publish([to_topic(topic, each) for each in messages])
            crash_point("voids_sent")
            self._signals.emit("holds.expired", count=len(messages))
