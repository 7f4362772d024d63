"""Cached balances: whatever the order of readings, changes and losses, what is served never goes back."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from ledger.adapters.memory.cache import MemoryCache
from ledger.application import cached_balances
from ledger.application.balance_cache import BalanceId, CacheAwayError, Found, Pausing
from ledger.application.cached_balances import EARLY_SHARE, SETTLE_S, Served
from ledger.application.faults import TransientFaultError
from ledger.application.outcome_feed import Notice, Touched
from ledger.application.reading import BalanceView
from tests.application.cached_doubles import ANN, TTL_S, Books, Hand, ask, cached, changed, settle
from tests.builders import NOW, USD
from tests.fakes import RememberedSignals


async def test_a_stampede_is_one_reading() -> None:
    books, clock = Books(), Hand()
    balances = cached(books, clock)
    served = await asyncio.gather(*(ask(balances) for _ in range(500)))
    assert (books.loads, {each.source for each in served}) == (1, {"database"})
    assert (await ask(balances)).source == "cache"
    assert books.loads == 1


async def test_age_is_told_and_never_above_the_time_to_live() -> None:
    books, clock = Books(), Hand()
    balances = cached(books, clock)
    await ask(balances)
    clock.time += 3.5
    assert await ask(balances) == Served(books.look(), "cache", 3.5)
    clock.time += 1.5
    assert (await ask(balances)).source == "database"


async def test_a_reading_that_took_long_is_that_old() -> None:
    books, clock = Books(by_hand=True), Hand()
    balances = cached(books, clock)
    asking = asyncio.create_task(ask(balances))
    await settle()
    clock.time += 2.0
    books.readings[0].set_result(books.look())
    assert (await asking).age_s == 2.0
    assert (await ask(balances)).age_s == 2.0


async def test_it_is_read_anew_before_its_end_beside_the_request() -> None:
    books, clock = Books(), Hand()
    balances = cached(books, clock)
    await ask(balances)
    clock.time += EARLY_SHARE * TTL_S
    books.change()
    served = await asyncio.gather(*(ask(balances) for _ in range(10)))
    assert {each.source for each in served} == {"cache"}
    await settle()
    assert (books.loads, balances.counts.early) == (2, 1)
    assert (await ask(balances)).view.version == 2


async def test_an_outcome_ends_what_it_changed() -> None:
    books, clock = Books(), Hand()
    balances = cached(books, clock)
    await ask(balances)
    clock.time += 2 * SETTLE_S
    books.change()
    balances.hear(changed(2))
    assert (await ask(balances)).view.version == 2
    await balances.close()
    assert (await ask(balances)).view.version == 2


@pytest.mark.parametrize("asset", [USD, None])
async def test_a_hold_ends_what_it_changed(asset: str | None) -> None:
    books, clock = Books(), Hand()
    balances = cached(books, clock)
    await ask(balances)
    books.change(held=True)
    balances.hear(changed(None, None))
    await balances.close()
    assert (await ask(balances)).view.held == 1


async def test_what_changes_all_the_time_is_still_read_once_for_many() -> None:
    books, clock = Books(), Hand()
    balances = cached(books, clock)
    for version in range(2, 102):
        await ask(balances)
        books.change()
        balances.hear(changed(version))
    assert books.loads < 5
    await balances.close()


async def test_a_slow_old_reading_does_not_undo_a_newer_one() -> None:
    books, clock = Books(by_hand=True), Hand()
    balances = cached(books, clock)
    slow = asyncio.create_task(ask(balances))
    await settle()
    old = books.look()
    books.change()
    balances.hear(changed(2))
    await balances._forgetter if balances._forgetter else None
    newer = asyncio.create_task(ask(balances))
    await settle()
    books.readings[1].set_result(books.look())
    assert (await newer).view.version == 2
    books.readings[0].set_result(old)
    assert (await slow).view.version == 2
    assert (await ask(balances)).view.version == 2
    assert balances.counts.not_kept == 1


async def test_a_fault_reaches_all_who_asked_and_is_not_kept() -> None:
    books, clock = Books(by_hand=True), Hand()
    balances = cached(books, clock)
    asking = [asyncio.create_task(ask(balances)) for _ in range(3)]
    await settle()
    books.readings[0].set_exception(TransientFaultError("away"))
    assert [type(each) for each in await asyncio.gather(*asking, return_exceptions=True)] == [
        TransientFaultError
    ] * 3
    books.by_hand = False
    assert (await ask(balances)).source == "database"


async def test_who_gives_up_does_not_stop_the_reading_for_others() -> None:
    books, clock = Books(by_hand=True), Hand()
    balances = cached(books, clock)
    first, second = (asyncio.create_task(ask(balances)) for _ in range(2))
    await settle()
    first.cancel()
    books.readings[0].set_result(books.look())
    assert (await second).view.version == 1


async def test_an_account_that_is_not_there_is_not_kept() -> None:
    books, clock = Books(by_hand=True), Hand()
    balances = cached(books, clock)
    asking = asyncio.create_task(balances.balance("acme", ANN))
    await settle()
    books.readings[0].set_result(None)
    assert await asking is None
    books.by_hand = False
    assert (await ask(balances)).view.version == 1


async def test_books_that_went_back_are_believed_once_the_time_is_over() -> None:
    books, clock = Books(), Hand()
    books.version = 9
    balances = cached(books, clock)
    await ask(balances)
    books.version = 3
    clock.time += TTL_S + 1
    assert (await ask(balances)).view.version == 3


async def test_another_tenant_does_not_hear() -> None:
    books, clock = Books(), Hand()
    balances = cached(books, clock)
    await ask(balances)
    balances.hear(Notice("globex", "e", "posted", None, NOW, (Touched("ann", USD, 9),), b""))
    assert balances._forgetter is None


async def test_memory_is_bounded() -> None:
    books, clock = Books(), Hand()
    memory = MemoryCache(10, clock)
    balances = cached(books, clock, memory, entries_max=10)
    for number in range(50):
        await balances.balance("acme", (1, f"a{number % 25}", f"A{number}/0"))
    assert len(memory) == 10
    assert balances._served._count <= 10


class Fickle(MemoryCache):
    """A shared cache that is away while told so."""

    away = False

    async def get(self, balance: BalanceId) -> Found:
        if self.away:
            raise CacheAwayError("away")
        return await super().get(balance)

    async def put(
        self, balance: BalanceId, lease: bytes, view: BalanceView, age_s: float, ttl_s: float
    ) -> bool:
        if self.away:
            raise CacheAwayError("away")
        return await super().put(balance, lease, view, age_s, ttl_s)

    async def forget(self, balances: Sequence[BalanceId]) -> None:
        if self.away:
            raise CacheAwayError("away")
        await super().forget(balances)

    def lose_everything(self) -> None:
        self._slots.clear()


async def test_while_the_shared_cache_is_away_the_process_has_its_own() -> None:
    books, clock, signals = Books(), Hand(), RememberedSignals()
    shared = Fickle(10, clock)
    pausing = Pausing(shared, MemoryCache(10, clock), signals, clock)
    balances = cached(books, clock, pausing)
    await ask(balances)
    shared.away = True
    assert ((await ask(balances)).source, books.loads) == ("database", 2)
    assert ((await ask(balances)).source, books.loads, pausing.is_away) == ("cache", 2, True)
    shared.away = False
    clock.time += 1.5
    assert ((await ask(balances)).source, pausing.is_away) == ("cache", False)
    assert signals.names() == ["cache.away", "cache.back"]


STEPS = [
    "ask",
    "slow",
    "slow",
    "change",
    "news",
    "held",
    "first",
    "last",
    "last",
    "wait",
    "away",
    "back",
    "flush",
]


@given(st.lists(st.sampled_from(STEPS), min_size=10, max_size=60))
@example(["slow", "news", "slow", "last", "first", "ask"])
@example(["slow", "held", "slow", "last", "first", "ask"])
@example(["slow", "away", "ask", "news", "last", "back", "first", "wait", "wait", "ask"])
@example_settings(max_examples=200)
def test_what_is_served_never_goes_back_and_is_never_too_old(steps: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cached_balances, "SETTLE_S", 0.0)
        asyncio.run(Walk().take(steps))


class Walk:
    """Readings look when they are told to and answer later, in any order; the caches come and go meanwhile."""

    def __init__(self) -> None:
        self.books, self.clock = Books(by_hand=True), Hand()
        self.shared = Fickle(10, self.clock)
        pausing = Pausing(self.shared, MemoryCache(10, self.clock), RememberedSignals(), self.clock)
        self.balances = cached(self.books, self.clock, pausing)
        self.changed_at: list[float] = [self.clock.time]
        self.looked: dict[asyncio.Future[BalanceView | None], BalanceView] = {}
        self.served = 0
        self.asking: set[asyncio.Task[None]] = set()

    async def take(self, steps: list[str]) -> None:
        for step in steps:
            self.step(step)
            self.clock.time += 0.9 if step == "wait" else 0.001
            await settle()
        while any(not each.done() for each in self.asking):
            self.answer(0)
            await settle()
        await asyncio.gather(*self.asking)
        while self.waiting():
            self.answer(0)
        await self.balances.close()

    def step(self, step: str) -> None:
        match step:
            case "ask" | "slow":
                self.asking.add(asyncio.create_task(self.ask(looks_at_once=step == "slow")))
            case "change":
                self.change(held=False)
            case "news" | "held":
                self.change(held=step == "held")
                touched = changed(self.books.version) if step == "news" else changed(None, None)
                self.balances.hear(touched)
            case "first" | "last":
                self.answer(0 if step == "first" else -1)
            case "away" | "back":
                self.shared.away = step == "away"
            case "flush":
                self.shared.lose_everything()

    async def ask(self, *, looks_at_once: bool) -> None:
        asking = asyncio.create_task(ask(self.balances))
        await settle(3)
        for each in self.waiting() if looks_at_once else ():
            self.looked.setdefault(each, self.books.look())
        found = await asking
        index = self.books.history.index((found.view.version, found.view.held or 0))
        assert found.age_s <= TTL_S
        # It stood so at some time since the age that was told.
        ended = self.changed_at[index + 1] if index + 1 < len(self.changed_at) else float("inf")
        assert ended >= self.clock.time - found.age_s - 1e-6
        assert index >= self.served
        self.served = index

    def change(self, *, held: bool) -> None:
        self.books.change(held=held)
        self.changed_at.append(self.clock.time)

    def waiting(self) -> list["asyncio.Future[BalanceView | None]"]:
        return [each for each in self.books.readings if not each.done()]

    def answer(self, which: int) -> None:
        if waiting := self.waiting():
            waiting[which].set_result(self.looked.get(waiting[which], self.books.look()))


class Slow(MemoryCache):
    """A cache whose answers take a second to come back."""

    def __init__(self, clock: Hand) -> None:
        super().__init__(100, clock)
        self._clock = clock

    async def get(self, balance: BalanceId) -> Found:
        found = await super().get(balance)
        self._clock.time += 1.0
        return found


async def test_a_balance_ages_on_its_way_from_the_cache() -> None:
    clock, books = Hand(), Books()
    balances = cached(books, clock, Slow(clock))
    await ask(balances)
    served = await ask(balances)
    # A second on its way from there; and the lease came a second before the books were read.
    assert (served.source, served.age_s) == ("cache", 2.0)
