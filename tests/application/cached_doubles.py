"""Doubles around cached balances: a clock by hand, a balance whose readings answer when they are told to."""

import asyncio

from ledger.adapters.memory.cache import MemoryCache
from ledger.application.balance_cache import BalanceId, Pausing
from ledger.application.cached_balances import CachedBalances, Served
from ledger.application.outcome_feed import Notice, Touched
from ledger.application.reading import AccountView, BalanceView
from tests.builders import NOW, USD

ANN: BalanceId = (1, "ann", USD)
TTL_S = 5.0


class Hand:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class Books:
    """One balance, whose readings answer when they are told to: each with what stood when it looked."""

    def __init__(self, *, by_hand: bool = False) -> None:
        self.version, self.held = 1, 0
        self.history = [(1, 0)]
        self.by_hand = by_hand
        self.readings: list[asyncio.Future[BalanceView | None]] = []
        self.loads = 0

    def change(self, *, held: bool = False) -> None:
        self.version, self.held = (self.version, self.held + 1) if held else (self.version + 1, self.held)
        self.history.append((self.version, self.held))

    def look(self) -> BalanceView:
        return BalanceView("ann", USD, "credit", 0, self.version, self.held, self.version, NOW)

    async def balance(self, tenant_id: int, account: str, asset: str) -> BalanceView | None:
        self.loads += 1
        if not self.by_hand:
            await asyncio.sleep(0)
            return self.look()
        self.readings.append(asyncio.get_running_loop().create_future())
        return await self.readings[-1]

    async def account(self, tenant_id: int, account: str) -> AccountView | None:
        raise NotImplementedError

    async def balance_at(self, *_: object) -> BalanceView | None:
        raise NotImplementedError


def cached(
    books: Books, clock: Hand, cache: MemoryCache | Pausing | None = None, entries_max: int = 100
) -> CachedBalances:
    return CachedBalances(
        MemoryCache(entries_max, clock) if cache is None else cache,
        books,
        ttl_s=TTL_S,
        entries_max=entries_max,
        monotonic=clock,
        uniform=lambda low, high: high,
    )


async def ask(balances: CachedBalances) -> Served:
    served = await balances.balance("acme", ANN)
    assert served is not None
    return served


def changed(version: int | None, asset: str | None = USD) -> Notice:
    return Notice("acme", "e", "posted", None, NOW, (Touched("ann", asset, version),), b"")


async def settle(times: int = 5) -> None:
    for _ in range(times):
        await asyncio.sleep(0)
