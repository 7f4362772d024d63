"""Publish legs, and look for the outcomes of all that are waited for at once."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ledger.application.breaker import Monotonic
from ledger.application.legs import Leg
from ledger.application.payment_ports import EventKey, EventOutcome, PaymentLog

LOOK_S = 0.05
"""So long passes between two looks."""
LOOKS = 60
"""So often a leg that was published is looked for, before whoever waits is told that it is not posted yet."""
ASKED_MAX = 500
"""So many questions are asked by one look."""
AGAIN_S = 600.0
KNOWN_MAX = 20_000


class Outcomes(Protocol):
    """Where the outcomes of events are read."""

    async def outcomes(self, keys: Sequence[EventKey]) -> Mapping[EventKey, EventOutcome]:
        """Read the outcomes of events, those that have one; may raise TransientFaultError."""
        ...


class _Asked(NamedTuple):
    keys: Sequence[EventKey]
    found: "asyncio.Future[Mapping[EventKey, EventOutcome]]"


class LegDesk:
    """One look at a time, whoever waits: however slowly legs are posted, the database is asked no more often."""

    def __init__(self, outcomes: Outcomes, log: PaymentLog, monotonic: Monotonic) -> None:
        self._outcomes = outcomes
        self._log = log
        self._monotonic = monotonic
        self._published: dict[EventKey, float] = {}
        self._asked: list[_Asked] = []
        self._looking: asyncio.Task[None] | None = None

    async def publish(self, leg: Leg) -> None:
        """Have a leg in the log, by this call or by one not long ago; raises LogAwayError."""
        at = self._published.get(leg.event)
        if at is not None and self._monotonic() - at < AGAIN_S:
            return
        await self._log.publish(leg.key, leg.value())
        self._published.pop(leg.event, None)
        self._published[leg.event] = self._monotonic()
        if len(self._published) > KNOWN_MAX:
            del self._published[next(iter(self._published))]

    async def find(self, legs: Sequence[Leg]) -> list[EventOutcome | None]:
        """Read what became of these very events, in their order; raises TransientFaultError."""
        found = await self._look_for([leg.event for leg in legs])
        return [leg.read(found[leg.event]) if leg.event in found else None for leg in legs]

    async def post(self, leg: Leg) -> EventOutcome | None:
        """Publish a leg and wait a moment for its outcome; raises LogAwayError, TransientFaultError."""
        await self.publish(leg)
        for _ in range(LOOKS):
            [found] = await self.find([leg])
            if found is not None:
                return found
        return None

    async def _look_for(self, keys: Sequence[EventKey]) -> Mapping[EventKey, EventOutcome]:
        asked = _Asked(keys, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return await asked.found

    async def _look(self) -> None:
        try:
            while self._asked:
                together, self._asked = self._asked[:ASKED_MAX], self._asked[ASKED_MAX:]
                await self._answer([each for each in together if not each.found.done()])
                await asyncio.sleep(LOOK_S)
        finally:
            self._looking = None

    async def _answer(self, asked: Sequence[_Asked]) -> None:
        keys = list(dict.fromkeys(key for each in asked for key in each.keys))
        try:
            found = await self._outcomes.outcomes(keys) if keys else {}
        except BaseException as fault:
            told = fault if isinstance(fault, Exception) else RuntimeError("nobody looks any more")
            for each in asked:
                if not each.found.done():
                    each.found.set_exception(told)
            if not isinstance(fault, Exception):
                raise
            return
        for each in asked:
            if not each.found.done():
                each.found.set_result(found)
