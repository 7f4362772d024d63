"""Deciding while ids are claimed: what it spares, and what it must never cost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from random import Random
from typing import Any

import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.ports import UnitOfWork
from ledger.application.post_events import AT_ONCE, CLEAN_BATCHES, Batch, DecideNow, PostEvents
from ledger.domain.books import Books, Rules
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from tests.application.office import deposit, digest
from tests.builders import HandClock, transfer
from tests.fakes import RememberedSignals
from tests.random_events import random_stream


class Watched:
    """A Judge and a store in one, which note when events are decided and when their claims are answered."""

    def __init__(self) -> None:
        self.books = MemoryBooks()
        self.steps: list[str] = []
        self.fault: Exception | None = None
        self.void: list[Event] = []
        self._judge = DecideNow()

    def undone(self, events: Sequence[Event]) -> None:
        self.void += events

    def moment_of(self, event: Event, now: datetime) -> datetime:
        return now

    def decide(self, event: Event, books: Books, now: datetime, rules: Rules) -> Outcome:
        self.steps.append("decided")
        if self.fault is not None:
            raise self.fault
        return self._judge.decide(event, books, now, rules)

    async def begin(self, *given: Any) -> None:
        await self.books.begin(*given)

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[UnitOfWork]:
        async with self.books.unit_of_work() as unit:
            real = unit.claim

            async def claim(*given: Any) -> Any:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                self.steps.append("claimed")
                return await real(*given)

            # By the double, what claims ids that are taken for new goes the same way.
            unit.claim = claim  # type: ignore[method-assign, assignment]
            yield unit


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def post(watched: Watched) -> PostEvents:
    return PostEvents(watched, HandClock(), Rules(), RememberedSignals(), judge=watched)


async def test_events_are_decided_before_the_claims_are_answered(watched: Watched, post: PostEvents) -> None:
    await post(Batch([deposit(1), deposit(2)]))
    assert watched.steps == ["decided", "decided", "claimed"]


async def test_what_was_known_is_decided_anew_with_nothing_of_the_first_time_left(
    watched: Watched, post: PostEvents
) -> None:
    await post(Batch([deposit(1)]))
    outcomes = await post(Batch([deposit(1), deposit(2), transfer("ann", "shop", 1500, name=3)]))
    assert [outcome.kind for outcome in outcomes] == ["duplicate", "posted", "posted"]

    plain = MemoryBooks()
    one_by_one = PostEvents(plain, HandClock(), Rules(), RememberedSignals())
    for event in (deposit(1), deposit(2), transfer("ann", "shop", 1500, name=3)):
        await one_by_one(Batch([event]))
    assert digest(watched.books.contents) == digest(plain.contents)


@pytest.mark.parametrize("seed", range(6))
async def test_ahead_or_not_the_same_comes_of_it(seed: int) -> None:
    events = random_stream(Random(seed), 120)
    ours, theirs = Watched(), Watched()
    ahead, behind = (
        PostEvents(each, HandClock(), Rules(), RememberedSignals(), judge=each) for each in (ours, theirs)
    )
    await ahead(Batch([deposit("known")]))
    await behind(Batch([deposit("known")]))
    theirs.void.clear()
    for begin in range(0, len(events), 7):
        batch = Batch(events[begin : begin + 7])
        await behind(Batch([deposit("known")]))
        theirs.void.clear()
        assert await ahead(batch) == await behind(batch)
        assert not theirs.void
    assert digest(ours.books.contents) == digest(theirs.books.contents)
    assert ours.void


async def test_what_was_decided_beside_a_known_event_is_told_to_be_void(
    watched: Watched, post: PostEvents
) -> None:
    await post(Batch([deposit(), deposit()]))
    assert watched.void == []
    batch = [transfer("ann", "shop", 600, name="pay"), deposit()]
    assert [each.kind for each in await post(Batch(batch))] == ["posted", "duplicate"]
    assert watched.void == batch
    assert watched.books.contents.balances["acme", "ann", "USD/2"].balance == 400


async def test_after_a_known_event_claims_come_first_for_a_while(watched: Watched, post: PostEvents) -> None:
    await post(Batch([deposit("known")]))
    await post(Batch([deposit("known")]))
    for number in range(CLEAN_BATCHES):
        watched.steps.clear()
        await post(Batch([deposit(number)]))
        assert watched.steps == ["claimed", "decided"], number
    watched.steps.clear()
    await post(Batch([deposit("later")]))
    assert watched.steps == ["decided", "claimed"]


async def test_what_was_decided_in_vain_is_not_decided_ahead_again_whatever_others_did_meanwhile(
    watched: Watched, post: PostEvents
) -> None:
    await post(Batch([deposit("known")]))
    real = watched.books.unit_of_work

    @asynccontextmanager
    async def busy() -> AsyncIterator[Any]:
        async with real() as unit:
            # As if eight batches of other partitions were posted between any two tries of this one.
            post._clean = CLEAN_BATCHES
            yield unit

    watched.books.unit_of_work = busy  # type: ignore[method-assign]
    watched.steps.clear()
    [outcome] = await post(Batch([deposit("known")]))
    assert outcome.kind == "duplicate"
    assert watched.steps == ["decided", "claimed", "claimed"]


async def test_loop_is_let_go_on_between_many_events(watched: Watched, post: PostEvents) -> None:
    """Else a large claim would wait in a buffer until all is decided."""
    await post(Batch([deposit(number) for number in range(2 * AT_ONCE + 1)]))
    assert watched.steps.index("claimed") < len(watched.steps) - 1


async def test_fault_while_deciding_leaves_no_claim_behind(watched: Watched, post: PostEvents) -> None:
    watched.fault = ZeroDivisionError("a bug")
    before = asyncio.all_tasks()
    with pytest.raises(ZeroDivisionError):
        await post(Batch([deposit(1)]))
    assert asyncio.all_tasks() <= before
    watched.fault = None
    [outcome] = await post(Batch([deposit(1)]))
    assert outcome.kind == "posted"
