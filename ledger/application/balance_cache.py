"""Where balances are kept for a while: the port, and two caches of which the second stands in for the first."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ledger.application.reading import BalanceView
from ledger.observability.signals import Signals

PAUSE_S = 1.0
"""A cache that failed is left alone for so long."""

BalanceId = tuple[int, str, str]
"""(tenant_id, account, asset)"""


class Found(NamedTuple):
    """What a cache holds: a balance and its age, or none; and leave to put one that is read after this."""

    view: BalanceView | None
    age_s: float
    ttl_s: float
    lease: bytes


class CacheAwayError(Exception):
    """The cache did not answer in time."""


class BalanceCache(Protocol):
    """Where balances are kept for a while. Each method may raise CacheAwayError."""

    async def get(self, balance: BalanceId) -> Found:
        """Find a balance. The lease lets in what is read from now on, until another put or `forget`."""
        ...

    async def put(
        self, balance: BalanceId, lease: bytes, view: BalanceView, age_s: float, ttl_s: float
    ) -> bool:
        """Keep a balance that is `age_s` old already, for `ttl_s` from its reading; False: the lease has ended.

        It is taken to be as old as its lease at least: what is put may be long on its way.
        """
        ...

    async def forget(self, balances: Sequence[BalanceId]) -> None:
        """Drop balances, and end every lease on them: what is being read may be older than why they are dropped."""
        ...


class Pausing:
    """A BalanceCache over two: while the first fails, the second stands in; then the first is tried again."""

    def __init__(
        self, first: BalanceCache, second: BalanceCache, signals: Signals, monotonic: Callable[[], float]
    ) -> None:
        self._first, self._second = first, second
        self._signals = signals
        self._monotonic = monotonic
        self._paused_until: float | None = None

    @property
    def is_away(self) -> bool:
        return self._paused_until is not None

    async def get(self, balance: BalanceId) -> Found:
        if self._may_try():
            try:
                found = await self._first.get(balance)
                self._well()
                return found._replace(lease=b"1" + found.lease)
            except CacheAwayError as error:
                self._pause(error)
        found = await self._second.get(balance)
        return found._replace(lease=b"2" + found.lease)

    async def put(
        self, balance: BalanceId, lease: bytes, view: BalanceView, age_s: float, ttl_s: float
    ) -> bool:
        if lease[:1] == b"2":
            return await self._second.put(balance, lease[1:], view, age_s, ttl_s)
        if not self._may_try():
            return False
        try:
            return await self._first.put(balance, lease[1:], view, age_s, ttl_s)
        except CacheAwayError as error:
            self._pause(error)
            return False

    async def forget(self, balances: Sequence[BalanceId]) -> None:
        await self._second.forget(balances)
        if self._may_try():
            try:
                await self._first.forget(balances)
            except CacheAwayError as error:
                self._pause(error)

    def _may_try(self) -> bool:
        return self._paused_until is None or self._monotonic() >= self._paused_until

    def _pause(self, error: CacheAwayError) -> None:
        if self._paused_until is None:
            self._signals.emit("cache.away", fault=str(error))
        self._paused_until = self._monotonic() + PAUSE_S

    def _well(self) -> None:
        if self._paused_until is not None:
            self._paused_until = None
            self._signals.emit("cache.back")
