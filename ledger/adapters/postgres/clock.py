"""The clock of the database, which all workers share: learned now and then, and gone on from by monotonic time."""

import asyncio
from datetime import datetime, timedelta
from typing import NamedTuple

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.types import Pool
from ledger.application.breaker import Monotonic
from ledger.application.faults import TransientFaultError
from ledger.application.ports import Clock
from ledger.observability.signals import Signals

LEARN_S = 5.0
DRIFT = 1e-4
"""So much of the time that has passed, monotonic time may be wrong."""
DIFFERS_S = 1.0
"""A machine whose clock differs by more is told of."""


class Sample(NamedTuple):
    """At `tick` of the monotonic clock the database's said `at`, give or take `error_s`."""

    at: datetime
    tick: float
    error_s: float

    def after(self, tick: float) -> datetime:
        """Say what the database's clock shows at another tick."""
        return self.at + timedelta(seconds=tick - self.tick)

    def is_replaced_by(self, new: "Sample") -> bool:
        """Whether another is more exact by now, or shows that the clock was set, or is another server's."""
        error_s = self.error_s + DRIFT * (new.tick - self.tick)
        apart_s = abs((new.at - self.after(new.tick)).total_seconds())
        return new.error_s <= error_s or apart_s > error_s + new.error_s


class DatabaseClock:
    """A Clock; how this machine's own is set does not matter, even while it is set anew."""

    def __init__(self, pool: Pool, monotonic: Monotonic, machine: Clock, signals: Signals) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._machine = machine
        self._signals = signals
        self._sample: Sample | None = None
        self._last: datetime | None = None
        self._differs = False

    def now(self) -> datetime:
        """Tell the time, in UTC; raises TransientFaultError before it was ever learned."""
        if self._sample is None:
            raise TransientFaultError("the database has not told the time yet")
        now = self._sample.after(self._monotonic())
        # What was learned more exactly must not send timers back by a moment, so that they seem early.
        if self._last is not None and self._last - timedelta(seconds=1) < now < self._last:
            return self._last
        self._last = now
        return now

    async def learn(self) -> None:
        """Ask the database once; raises TransientFaultError."""
        with transient_faults():
            async with self._pool.acquire() as connection:
                sent = self._monotonic()
                at = await connection.fetchval("select clock_timestamp()")
                came = self._monotonic()
        new = Sample(at, (sent + came) / 2, (came - sent) / 2)
        if self._sample is None or self._sample.is_replaced_by(new):
            self._sample = new
        self._compare()

    async def keep_learning(self) -> None:
        """Ask now and then, until cancelled; while the database is away, time goes on all the same."""
        while True:
            await asyncio.sleep(LEARN_S)
            try:
                await self.learn()
            except TransientFaultError as fault:
                self._signals.emit("clock.not_learned", fault=str(fault))

    def _compare(self) -> None:
        seconds = (self._machine.now() - self.now()).total_seconds()
        differs = abs(seconds) > DIFFERS_S
        if differs and not self._differs:
            self._signals.emit("clock.differs", seconds=round(seconds, 1))
        self._differs = differs
