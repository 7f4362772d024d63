"""Workers side by side on PostgreSQL: what they do to each other's batches."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random

import asyncpg

from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.types import Pool
from ledger.application.ports import UnitOfWork
from ledger.application.post_events import Batch
from ledger.domain.books import Rules, needs_of
from ledger.domain.commands import Event
from ledger.domain.posting import decide
from tests.builders import event, event_id, transfer
from tests.ports.conftest import Bench
from tests.random_events import random_stream


async def eventually(happens: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await happens():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def anyone_waits(pool: Pool) -> bool:
    return bool(await pool.fetchval("select exists (select from pg_locks where not granted)"))


async def all_waiting(pool: Pool, count: int) -> bool:
    waiting = await pool.fetchval("select count(distinct pid) from pg_locks where not granted")
    return int(waiting) >= count


def pay(bench: Bench, debit: str, credit: str, name: object, amount: int = 1) -> Event:
    return transfer(debit, credit, amount, name=name, tenant=bench.tenant)


class Zombie:
    """A worker that handles a batch and stops short of its commit, until it is told."""

    def __init__(self, bench: Bench, pool: Pool) -> None:
        self._bench = bench
        self._stack = AsyncExitStack()
        self._store = PostgresBooks(pool)
        self._unit: UnitOfWork | None = None

    async def handle(self, *events: Event) -> list[str]:
        unit = self._unit = await self._stack.enter_async_context(self._store.unit_of_work())
        books = await unit.lock(needs_of(events))
        books.watched = needs_of(events).originals
        await unit.claim(events, [self._bench.clock.now()] * len(events))
        outcomes = [decide(event, books, self._bench.clock.now(), Rules()) for event in events]
        await unit.write(books, outcomes, ())
        return [str(outcome.reason or outcome.kind) for outcome in outcomes]

    async def commit(self) -> None:
        assert self._unit is not None
        await self._unit.commit()
        await self._stack.aclose()


async def after_a_zombie(bench: Bench, pool: Pool, done: list[Event], whole: list[Event]) -> list[str]:
    """Let a zombie handle `done`, another worker `whole` meanwhile, and the zombie commit while that one waits."""
    zombie = Zombie(bench, pool)
    assert await zombie.handle(*done) == ["posted"] * len(done)
    worker = asyncio.create_task(bench.answers(*whole, store=PostgresBooks(pool)))
    await eventually(lambda: anyone_waits(pool))
    await zombie.commit()
    return await worker


# Opposite orders


async def test_opposite_orders_never_deadlock(postgres: Bench) -> None:
    accounts = [f"a{number}" for number in range(12)]
    await postgres.post(*[pay(postgres, "external:bank", name, name, 1000) for name in accounts])

    async def worker(number: int) -> set[str]:
        chance = Random(number)
        kinds: set[str] = set()
        for batch in range(12):
            pairs = [chance.sample(accounts, 2) for _ in range(15)]
            events = [
                pay(postgres, debit, credit, f"{number} {batch} {each}")
                for each, (debit, credit) in enumerate(pairs)
            ]
            kinds.update(await postgres.answers(*events))
        return kinds

    results = await asyncio.gather(*[worker(number) for number in range(4)])
    assert results == [{"posted"}] * 4
    assert "batch.delayed" not in postgres.signals.names()


async def test_versions_have_no_gaps_side_by_side(postgres: Bench, pool: Pool) -> None:
    streams = [random_stream(Random(seed), 120, tenant=postgres.tenant, partition=seed) for seed in range(4)]

    async def worker(stream: list[Event]) -> None:
        poster = postgres.poster(PostgresBooks(pool))
        for start in range(0, len(stream), 12):
            await poster(Batch(stream[start : start + 12]))

    await asyncio.gather(*[worker(stream) for stream in streams])
    digest = await postgres.digest()
    for (code, asset), (debits, credits_, _, version) in digest["balances"].items():
        entries = [digest["entries"][code, asset, number + 1] for number in range(version)]
        moved = [amount for _, amount, _, _, _ in entries]
        assert sum(moved) == credits_ - debits
        times = [posted_at for *_, posted_at in entries]
        assert times == sorted(times)


async def test_same_events_by_two_workers_post_once(postgres: Bench, pool: Pool) -> None:
    stream = random_stream(Random(5), 100, tenant=postgres.tenant)
    first, second = await asyncio.gather(
        *[postgres.answers(*stream, store=PostgresBooks(pool)) for _ in range(2)]
    )
    assert first == second


async def test_new_account_opened_by_two_at_once(postgres: Bench, pool: Pool) -> None:
    answers = await asyncio.gather(
        *[
            postgres.answers(pay(postgres, "external:bank", "fresh", number), store=PostgresBooks(pool))
            for number in range(6)
        ]
    )
    assert answers == [["posted"]] * 6
    assert await postgres.balance("fresh") == "6 held 0 version 6"


async def test_accounts_opened_by_the_batches_of_one_worker_are_decided_once(postgres: Bench) -> None:
    fresh = [f"n{number}" for number in range(40)]
    batches = [
        [pay(postgres, "external:bank", name, f"{batch} {name}") for name in fresh] for batch in range(6)
    ]
    answers = await asyncio.gather(*[postgres.answers(*batch) for batch in batches])
    assert answers == [["posted"] * len(fresh)] * len(batches)
    assert "batch.delayed" not in postgres.signals.names()


async def test_new_asset_of_one_account_by_two_at_once(postgres: Bench, pool: Pool) -> None:
    await postgres.post(event("account.open.v1", {"account": "ann"}, tenant=postgres.tenant))
    answers = await asyncio.gather(
        *[
            postgres.answers(pay(postgres, f"external:{number}", "ann", number), store=PostgresBooks(pool))
            for number in range(6)
        ]
    )
    assert (answers, await postgres.balance("ann")) == ([["posted"]] * 6, "6 held 0 version 6")


# Closing


async def test_close_waits_for_a_new_asset(postgres: Bench, pool: Pool) -> None:
    await postgres.post(event("account.open.v1", {"account": "ann"}, name="o", tenant=postgres.tenant))
    zombie = Zombie(postgres, pool)
    await zombie.handle(pay(postgres, "external:bank", "ann", 1))
    closing = asyncio.create_task(
        postgres.answers(event("account.close.v1", {"account": "ann"}, name="c", tenant=postgres.tenant))
    )
    await eventually(lambda: anyone_waits(pool))
    await zombie.commit()
    assert await closing == ["account_not_empty"]


async def test_new_asset_waits_for_a_close(postgres: Bench, pool: Pool) -> None:
    await postgres.post(event("account.open.v1", {"account": "ann"}, name="o", tenant=postgres.tenant))
    zombie = Zombie(postgres, pool)
    await zombie.handle(event("account.close.v1", {"account": "ann"}, name="c", tenant=postgres.tenant))
    paying = asyncio.create_task(postgres.answers(pay(postgres, "external:bank", "ann", 1)))
    await eventually(lambda: anyone_waits(pool))
    await zombie.commit()
    assert await paying == ["account_closed"]


async def test_known_balance_waits_for_a_close(postgres: Bench, pool: Pool) -> None:
    await postgres.post(pay(postgres, "external:bank", "ann", 1), pay(postgres, "ann", "external:bank", 2))
    zombie = Zombie(postgres, pool)
    await zombie.handle(event("account.close.v1", {"account": "ann"}, name="c", tenant=postgres.tenant))
    paying = asyncio.create_task(postgres.answers(pay(postgres, "external:bank", "ann", 3)))
    await eventually(lambda: anyone_waits(pool))
    await zombie.commit()
    assert await paying == ["account_closed"]


# A zombie commits while the next worker waits for it: what that one then decides must follow on it


async def test_capture_sees_the_hold_of_a_zombie(postgres: Bench, pool: Pool) -> None:
    data = {"debit": "external:bank", "credit": "shop", "amount": 5, "asset": "USD/2"}
    place = event("hold.place.v1", data, name="h", tenant=postgres.tenant)
    capture = event("hold.capture.v1", {"hold": event_id("h")}, name="c", tenant=postgres.tenant)
    assert await after_a_zombie(postgres, pool, [place], [place, capture]) == ["duplicate", "posted"]


async def test_reversal_sees_the_transaction_of_a_zombie(postgres: Bench, pool: Pool) -> None:
    original = pay(postgres, "external:bank", "ann", "t")
    reverse = event(
        "transaction.reverse.v1", {"transaction": event_id("t")}, name="r", tenant=postgres.tenant
    )
    assert await after_a_zombie(postgres, pool, [original], [original, reverse]) == ["duplicate", "posted"]


async def test_payment_sees_the_deposit_of_a_zombie(postgres: Bench, pool: Pool) -> None:
    deposit, spend = pay(postgres, "external:bank", "ann", 1), pay(postgres, "ann", "external:bank", 2)
    assert await after_a_zombie(postgres, pool, [deposit], [deposit, spend]) == ["duplicate", "posted"]


async def test_payment_sees_the_new_asset_of_a_zombie(postgres: Bench, pool: Pool) -> None:
    await postgres.post(event("account.open.v1", {"account": "ann"}, name="o", tenant=postgres.tenant))
    deposit, spend = pay(postgres, "external:bank", "ann", 1), pay(postgres, "ann", "external:bank", 2)
    assert await after_a_zombie(postgres, pool, [deposit], [deposit, spend]) == ["duplicate", "posted"]


async def test_close_sees_the_account_of_a_zombie(postgres: Bench, pool: Pool) -> None:
    opening = event("account.open.v1", {"account": "ann"}, name="o", tenant=postgres.tenant)
    closing = event("account.close.v1", {"account": "ann"}, name="c", tenant=postgres.tenant)
    assert await after_a_zombie(postgres, pool, [opening], [opening, closing]) == ["duplicate", "posted"]


# Faults


async def test_killed_connection_is_replaced(postgres: Bench, pool: Pool, books_dsn: str) -> None:
    zombie = Zombie(postgres, pool)
    await zombie.handle(pay(postgres, "external:bank", "ann", 0))
    paying = asyncio.create_task(postgres.answers(pay(postgres, "external:bank", "ann", 1)))
    await eventually(lambda: anyone_waits(pool))
    killer = await asyncpg.connect(books_dsn)
    await killer.execute("select pg_terminate_backend(pid) from pg_locks where not granted")
    await killer.close()
    await zombie.commit()
    assert (await paying, await postgres.balance("ann")) == (["posted"], "2 held 0 version 2")


async def test_cancelled_batch_gives_its_locks_back(postgres: Bench, pool: Pool) -> None:
    zombie = Zombie(postgres, pool)
    await zombie.handle(pay(postgres, "external:bank", "ann", 0))
    paying = asyncio.create_task(postgres.answers(pay(postgres, "external:bank", "ann", 1)))
    await eventually(lambda: anyone_waits(pool))
    paying.cancel()
    await asyncio.wait([paying])
    await zombie.commit()
    assert await postgres.answers(pay(postgres, "external:bank", "ann", 1)) == ["posted"]
