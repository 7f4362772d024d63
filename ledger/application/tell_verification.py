"""Tell what the last verification found, so that a violation is counted and calls somebody."""

import asyncio

from ledger.application.reports import Verifications
from ledger.observability.signals import Signals

LOOK_S = 60.0


class TellVerification:
    """Tells every minute, from wherever the last verification ran."""

    def __init__(self, verifications: Verifications, signals: Signals) -> None:
        self._verifications = verifications
        self._signals = signals

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Tell, if a verification was kept and the books can be asked for it."""
        try:
            last = await self._verifications.last()
        except Exception as fault:
            # Whatever it is, books that are made anew or a password that changed: it is told, and asked again.
            self._signals.emit("verification.not_read", fault=f"{type(fault).__name__}: {fault}")
            return
        if last is not None:
            self._signals.emit("verification.read", topic=last.topic, violations=last.violations, at=last.at)
