"""Workers side by side, in memory and on PostgreSQL: what they do to each other's batches."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random

import asyncpg

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


async def anyone_waits(bench: Bench) -> bool:
    return await bench.look.waiting() > 0


def pay(bench: Bench, debit: str, credit: str, name: object, amount: int = 1) -> Event:
    return transfer(debit, credit, amount, name=name, tenant=bench.tenant)


class Zombie:
    """A worker that handles a batch and stops short of its commit, until it is told."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._stack = AsyncExitStack()
        self._store = bench.look.worker()
        self._unit: UnitOfWork | None = None

    async def handle(self, *events: Event) -> list[str]:
        unit = self._unit = await self._stack.enter_async_context(self._store.unit_of_work())
        await unit.claim(events)
        books = await unit.lock(needs_of(events))
        books.watched = needs_of(events).originals
        now = self._bench.clock.now()
        outcomes = [decide(event, books, now, Rules()) for event in events]
        await unit.write(books, outcomes, [now] * len(outcomes), ())
        return [str(outcome.reason or outcome.kind) for outcome in outcomes]

    async def commit(self) -> None:
        assert self._unit is not None
        await self._unit.commit()
        await self._stack.aclose()

    async def give_up(self) -> None:
        await self._stack.aclose()


async def after_a_zombie(bench: Bench, done: list[Event], whole: list[Event]) -> list[str]:
    """Let a zombie handle `done`, another worker `whole` meanwhile, and the zombie commit while that one waits."""
    zombie = Zombie(bench)
    assert await zombie.handle(*done) == ["posted"] * len(done)
    worker = asyncio.create_task(bench.answers(*whole, store=bench.look.worker()))
    await eventually(lambda: anyone_waits(bench))
    await zombie.commit()
    return await worker


# Opposite orders


async def test_opposite_orders_never_deadlock(bench: Bench) -> None:
    accounts = [f"a{number}" for number in range(12)]
    await bench.post(*[pay(bench, "external:bank", name, name, 1000) for name in accounts])

    async def worker(number: int) -> set[str]:
        chance = Random(number)
        kinds: set[str] = set()
        for batch in range(12):
            pairs = [chance.sample(accounts, 2) for _ in range(15)]
            events = [
                pay(bench, debit, credit, f"{number} {batch} {each}")
                for each, (debit, credit) in enumerate(pairs)
            ]
            kinds.update(await bench.answers(*events))
        return kinds

    results = await asyncio.gather(*[worker(number) for number in range(4)])
    assert results == [{"posted"}] * 4
    assert "batch.delayed" not in bench.signals.names()


async def test_versions_have_no_gaps_side_by_side(bench: Bench) -> None:
    streams = [random_stream(Random(seed), 120, tenant=bench.tenant, partition=seed) for seed in range(4)]

    async def worker(stream: list[Event]) -> None:
        poster = bench.poster(bench.look.worker())
        for start in range(0, len(stream), 12):
            await poster(Batch(stream[start : start + 12]))

    await asyncio.gather(*[worker(stream) for stream in streams])
    digest = await bench.digest()
    for (code, asset), (debits, credits_, _, version) in digest["balances"].items():
        entries = [digest["entries"][code, asset, number + 1] for number in range(version)]
        moved = [amount for _, amount, _, _, _ in entries]
        assert sum(moved) == credits_ - debits
        times = [posted_at for *_, posted_at in entries]
        assert times == sorted(times)


async def test_same_events_by_two_workers_post_once(bench: Bench) -> None:
    stream = random_stream(Random(5), 100, tenant=bench.tenant)
    first, second = await asyncio.gather(
        *[bench.answers(*stream, store=bench.look.worker()) for _ in range(2)]
    )
    assert first == second


async def test_new_account_opened_by_two_at_once(bench: Bench) -> None:
    answers = await asyncio.gather(
        *[
            bench.answers(pay(bench, "external:bank", "fresh", number), store=bench.look.worker())
            for number in range(6)
        ]
    )
    assert answers == [["posted"]] * 6
    assert await bench.balance("fresh") == "6 held 0 version 6"


def hold_towards(bench: Bench, credit: str) -> Event:
    data = {"debit": "external:bank", "credit": credit, "amount": 5, "asset": "USD/2"}
    return event("hold.place.v1", data, name="towards", tenant=bench.tenant)


def opened_and_closed(bench: Bench, account: str) -> list[Event]:
    kinds = ("account.open.v1", "account.close.v1")
    return [event(kind, {"account": account}, name=kind, tenant=bench.tenant) for kind in kinds]


async def test_hold_towards_an_account_that_opens_and_closes_meanwhile(bench: Bench) -> None:
    gone = opened_and_closed(bench, "gone")
    late = await after_a_zombie(bench, gone, [hold_towards(bench, "gone")])
    assert late == ["account_closed"]


async def test_account_that_opens_and_closes_beside_a_hold_towards_it(bench: Bench) -> None:
    kept = opened_and_closed(bench, "kept")
    assert await after_a_zombie(bench, [hold_towards(bench, "kept")], kept) == ["duplicate", "posted"]


async def test_accounts_opened_by_the_batches_of_one_worker_are_decided_once(postgres: Bench) -> None:
    """Waiting for each other is a matter of speed, which books in memory do without."""
    fresh = [f"n{number}" for number in range(40)]
    batches = [
        [pay(postgres, "external:bank", name, f"{batch} {name}") for name in fresh] for batch in range(6)
    ]
    answers = await asyncio.gather(*[postgres.answers(*batch) for batch in batches])
    assert answers == [["posted"] * len(fresh)] * len(batches)
    assert "batch.delayed" not in postgres.signals.names()


async def test_new_asset_of_one_account_by_two_at_once(bench: Bench) -> None:
    await bench.post(event("account.open.v1", {"account": "ann"}, tenant=bench.tenant))
    answers = await asyncio.gather(
        *[
            bench.answers(pay(bench, f"external:{number}", "ann", number), store=bench.look.worker())
            for number in range(6)
        ]
    )
    assert (answers, await bench.balance("ann")) == ([["posted"]] * 6, "6 held 0 version 6")


# Closing


async def test_account_opened_while_its_closing_waits_is_not_there_yet(bench: Bench) -> None:
    """It was looked for before, and is not locked; a third batch may move it at the same time."""
    await bench.post(event("account.open.v1", {"account": "ann"}, name="o", tenant=bench.tenant))
    euros = {"debit": "external:cash", "credit": "ann", "asset": "EUR/2", "amount": 1}
    waiting = event("transfer.post.v1", euros, name="waits", tenant=bench.tenant)
    closing = event("account.close.v1", {"account": "fresh"}, name="c", tenant=bench.tenant)
    opening = [pay(bench, "external:bank", name, name) for name in ("ann", "fresh")]
    assert await after_a_zombie(bench, opening, [waiting, closing]) == ["posted", "account_not_found"]


async def test_close_waits_for_a_new_asset(bench: Bench) -> None:
    await bench.post(event("account.open.v1", {"account": "ann"}, name="o", tenant=bench.tenant))
    zombie = Zombie(bench)
    await zombie.handle(pay(bench, "external:bank", "ann", 1))
    closing = asyncio.create_task(
        bench.answers(event("account.close.v1", {"account": "ann"}, name="c", tenant=bench.tenant))
    )
    await eventually(lambda: anyone_waits(bench))
    await zombie.commit()
    assert await closing == ["account_not_empty"]


async def test_new_asset_waits_for_a_close(bench: Bench) -> None:
    await bench.post(event("account.open.v1", {"account": "ann"}, name="o", tenant=bench.tenant))
    zombie = Zombie(bench)
    await zombie.handle(event("account.close.v1", {"account": "ann"}, name="c", tenant=bench.tenant))
    paying = asyncio.create_task(bench.answers(pay(bench, "external:bank", "ann", 1)))
    await eventually(lambda: anyone_waits(bench))
    await zombie.commit()
    assert await paying == ["account_closed"]


async def test_known_balance_waits_for_a_close(bench: Bench) -> None:
    await bench.post(pay(bench, "external:bank", "ann", 1), pay(bench, "ann", "external:bank", 2))
    zombie = Zombie(bench)
    await zombie.handle(event("account.close.v1", {"account": "ann"}, name="c", tenant=bench.tenant))
    paying = asyncio.create_task(bench.answers(pay(bench, "external:bank", "ann", 3)))
    await eventually(lambda: anyone_waits(bench))
    await zombie.commit()
    assert await paying == ["account_closed"]


# A zombie commits while the next worker waits for it: what that one then decides must follow on it


async def test_capture_sees_the_hold_of_a_zombie(bench: Bench) -> None:
    data = {"debit": "external:bank", "credit": "shop", "amount": 5, "asset": "USD/2"}
    place = event("hold.place.v1", data, name="h", tenant=bench.tenant)
    capture = event("hold.capture.v1", {"hold": event_id("h")}, name="c", tenant=bench.tenant)
    assert await after_a_zombie(bench, [place], [place, capture]) == ["duplicate", "posted"]


async def test_reversal_sees_the_transaction_of_a_zombie(bench: Bench) -> None:
    original = pay(bench, "external:bank", "ann", "t")
    reverse = event("transaction.reverse.v1", {"transaction": event_id("t")}, name="r", tenant=bench.tenant)
    assert await after_a_zombie(bench, [original], [original, reverse]) == ["duplicate", "posted"]


async def test_payment_sees_the_deposit_of_a_zombie(bench: Bench) -> None:
    deposit, spend = pay(bench, "external:bank", "ann", 1), pay(bench, "ann", "external:bank", 2)
    assert await after_a_zombie(bench, [deposit], [deposit, spend]) == ["duplicate", "posted"]


async def test_payment_sees_the_new_asset_of_a_zombie(bench: Bench) -> None:
    await bench.post(event("account.open.v1", {"account": "ann"}, name="o", tenant=bench.tenant))
    deposit, spend = pay(bench, "external:bank", "ann", 1), pay(bench, "ann", "external:bank", 2)
    assert await after_a_zombie(bench, [deposit], [deposit, spend]) == ["duplicate", "posted"]


async def test_close_sees_the_account_of_a_zombie(bench: Bench) -> None:
    opening = event("account.open.v1", {"account": "ann"}, name="o", tenant=bench.tenant)
    closing = event("account.close.v1", {"account": "ann"}, name="c", tenant=bench.tenant)
    assert await after_a_zombie(bench, [opening], [opening, closing]) == ["duplicate", "posted"]


async def test_what_was_handled_before_waits_for_no_account(bench: Bench) -> None:
    done = pay(bench, "external:bank", "ann", "done")
    await bench.post(done)
    zombie = Zombie(bench)
    await zombie.handle(pay(bench, "external:bank", "ann", "other"))
    async with asyncio.timeout(10):
        assert await bench.answers(done, store=bench.look.worker()) == ["duplicate"]
    await zombie.commit()


# Faults


async def test_killed_connection_is_replaced(postgres: Bench, books_dsn: str) -> None:
    zombie = Zombie(postgres)
    await zombie.handle(pay(postgres, "external:bank", "ann", 0))
    paying = asyncio.create_task(postgres.answers(pay(postgres, "external:bank", "ann", 1)))
    await eventually(lambda: anyone_waits(postgres))
    killer = await asyncpg.connect(books_dsn)
    await killer.execute("select pg_terminate_backend(pid) from pg_locks where not granted")
    await killer.close()
    await zombie.commit()
    assert (await paying, await postgres.balance("ann")) == (["posted"], "2 held 0 version 2")


async def test_cancelled_batch_gives_its_locks_back(bench: Bench) -> None:
    zombie = Zombie(bench)
    await zombie.handle(pay(bench, "external:bank", "ann", 0))
    paying = asyncio.create_task(bench.answers(pay(bench, "external:bank", "ann", 1)))
    await eventually(lambda: anyone_waits(bench))
    paying.cancel()
    await asyncio.wait([paying])
    await zombie.commit()
    assert await bench.answers(pay(bench, "external:bank", "ann", 1)) == ["posted"]


async def test_who_waits_for_a_batch_that_is_given_up_goes_on_from_before_it(bench: Bench) -> None:
    await bench.post(pay(bench, "external:bank", "ann", 0))
    zombie = Zombie(bench)
    await zombie.handle(pay(bench, "external:bank", "ann", 1))
    paying = asyncio.create_task(bench.answers(pay(bench, "external:bank", "ann", 2)))
    await eventually(lambda: anyone_waits(bench))
    await zombie.give_up()
    assert (await paying, await bench.balance("ann")) == (["posted"], "2 held 0 version 2")


async def test_batches_over_other_accounts_do_not_wait(bench: Bench) -> None:
    await bench.post(pay(bench, "external:bank", "ann", "a"), pay(bench, "external:till", "bob", "b"))
    zombie = Zombie(bench)
    await zombie.handle(pay(bench, "external:bank", "ann", 1))
    assert await bench.answers(pay(bench, "external:till", "bob", 2)) == ["posted"]
    await zombie.commit()


async def test_a_batch_that_was_committed_in_doubt_is_posted_once(bench: Bench) -> None:
    zombie = Zombie(bench)
    doubtful = pay(bench, "external:bank", "ann", 1)
    await zombie.handle(doubtful)
    # Its client gave up and begins anew, while the server has yet to commit.
    again = asyncio.create_task(bench.answers(doubtful))
    await eventually(lambda: anyone_waits(bench))
    await zombie.commit()
    assert (await again, await bench.balance("ann")) == (["duplicate"], "1 held 0 version 1")
