"""Cached balances: the books are read once for many who ask, and no older balance is served after a newer one."""

import asyncio
from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

from ledger.application.balance_cache import BalanceCache, BalanceId, Found
from ledger.application.outcome_feed import Notice, Touched
from ledger.application.reading import BalanceReader, BalanceView
from ledger.application.served_balances import Reading, ServedBalances

EARLY_SHARE = 0.8
"""A balance older than this share of its time is read again before it ends, beside the request."""
EARLY_AT_ONCE = 16
SETTLE_S = 0.05
"""What is younger is served although it has changed: a balance that changes all the time is worth caching too."""
JITTER = 0.2


class Served(NamedTuple):
    """A balance, where it came from, and how long ago at most it was read from the books."""

    view: BalanceView
    source: Literal["cache", "database"]
    age_s: float


class CacheCounts(msgspec.Struct):
    """What the cache has done since the start."""

    hits: int = 0
    misses: int = 0
    loads: int = 0
    early: int = 0
    outdated: int = 0
    not_kept: int = 0
    forgotten: int = 0


class CachedBalances:
    """Balances at most `ttl_s` old, over a cache that may be shared, lose everything, or bring old things back."""

    def __init__(
        self,
        cache: BalanceCache,
        books: BalanceReader,
        *,
        ttl_s: float,
        entries_max: int,
        monotonic: Callable[[], float],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._cache = cache
        self._books = books
        self._ttl_s = ttl_s
        self._monotonic = monotonic
        self._uniform = uniform
        self._served = ServedBalances(entries_max)
        self._tenants: dict[str, int] = {}
        self._flights: dict[BalanceId, asyncio.Task[Reading | None]] = {}
        self._early: set[asyncio.Task[Reading | None]] = set()
        self._changed: set[BalanceId] = set()
        self._forgetter: asyncio.Task[None] | None = None
        self.counts = CacheCounts()

    async def balance(self, tenant: str, balance: BalanceId) -> Served | None:
        """Give a balance; None: there is no such account. Raises what the books raise."""
        self._tenants[tenant] = balance[0]
        asked = self._monotonic()
        found = await self._cache.get(balance)
        # The answer has aged on its way, and nobody knows since when in between.
        found = found._replace(age_s=found.age_s + self._monotonic() - asked)
        if found.view is not None:
            served = self._hit(balance, found, found.view)
            if served is not None:
                return served
        self.counts.misses += 1
        return await self._missed(balance, found.lease)

    def hear(self, notice: Notice) -> None:
        """Forget, soon, what an outcome has changed of the balances that were served here."""
        tenant_id = self._tenants.get(notice.tenant)
        if tenant_id is None:
            return
        for touched in notice.touched:
            self._changed.update(self._outdated_by(tenant_id, touched))
        if self._changed and self._forgetter is None:
            self._forgetter = asyncio.create_task(self._forget_soon())

    async def close(self) -> None:
        """Wait for what is under way, without beginning more."""
        tasks = [*self._flights.values(), *self._early, *([self._forgetter] if self._forgetter else ())]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _hit(self, balance: BalanceId, found: Found, view: BalanceView) -> Served | None:
        """Serve what the cache holds, unless something newer was served or heard of."""
        now = self._monotonic()
        reading = Reading(view, now - found.age_s)
        is_too_old = found.age_s > self._ttl_s
        if is_too_old or (found.age_s > SETTLE_S and self._served.is_known_changed(balance, view)):
            return None
        if not self._served.accept(balance, reading, now):
            self.counts.outdated += 1
            return None
        self.counts.hits += 1
        if found.age_s >= EARLY_SHARE * found.ttl_s and len(self._early) < EARLY_AT_ONCE:
            self._read_early(balance, found.lease)
        return Served(view, "cache", found.age_s)

    async def _missed(self, balance: BalanceId, lease: bytes) -> Served | None:
        while True:
            reading = await asyncio.shield(self._flight(balance, lease))
            now = self._monotonic()
            if reading is None:
                self._served.drop(balance)
                return None
            if self._served.accept(balance, reading, now):
                return Served(reading.view, "database", now - reading.begun)
            # Read side by side with one that was served meanwhile: that one may be newer, so it is served again.
            self.counts.outdated += 1
            last = self._served.last(balance)
            if last is not None and now - last.begun <= self._ttl_s:
                return Served(last.view, "cache", now - last.begun)
            self._served.drop(balance)  # the books themselves went back, and what they say counts

    def _flight(self, balance: BalanceId, lease: bytes) -> "asyncio.Task[Reading | None]":
        """Join the reading that is under way, or begin one."""
        task = self._flights.get(balance)
        if task is None:
            task = self._flights[balance] = asyncio.create_task(self._read(balance, lease))
            task.add_done_callback(lambda done: self._landed(balance, done))
        return task

    def _landed(self, balance: BalanceId, task: "asyncio.Task[Reading | None]") -> None:
        if self._flights.get(balance) is task:
            del self._flights[balance]
        if not task.cancelled():
            task.exception()  # those who wait for it are told; it is nobody's if all have gone

    def _read_early(self, balance: BalanceId, lease: bytes) -> None:
        if balance in self._flights:
            return
        self.counts.early += 1
        task = self._flight(balance, lease)
        self._early.add(task)
        task.add_done_callback(self._early.discard)

    async def _read(self, balance: BalanceId, lease: bytes) -> Reading | None:
        begun = self._monotonic()
        self.counts.loads += 1
        view = await self._books.balance(*balance)
        if view is None:
            return None
        ttl_s = self._ttl_s / (1 + JITTER) * self._uniform(1 - JITTER, 1 + JITTER)
        if not await self._cache.put(balance, lease, view, self._monotonic() - begun, ttl_s):
            self.counts.not_kept += 1
        return Reading(view, begun)

    def _outdated_by(self, tenant_id: int, touched: Touched) -> list[BalanceId]:
        """Name the balances served or being read here that an outcome has changed."""
        account = (tenant_id, touched.account)
        if touched.asset is None:
            served = [(*account, asset) for asset in self._served.assets(account)]
            return served + [each for each in self._flights if each[:2] == account]
        balance = (*account, touched.asset)
        changed = self._served.hear(balance, touched.version or 0)
        return [balance] if changed or balance in self._flights else []

    async def _forget_soon(self) -> None:
        """Forget what has changed, all at once: what changes all the time is forgotten now and then."""
        try:
            while self._changed:
                await asyncio.sleep(SETTLE_S)
                changed, self._changed = list(self._changed), set()
                for balance in changed:
                    self._flights.pop(balance, None)
                self.counts.forgotten += len(changed)
                await self._cache.forget(changed)
        finally:
            self._forgetter = None
