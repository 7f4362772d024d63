"""Long work lets others run."""

import asyncio
from collections.abc import Sequence

import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.post_events import Batch, PostEvents
from ledger.application.turns import AT_ONCE, LONG, LongWork, in_turns
from ledger.domain.books import Rules
from tests.application.office import deposit
from tests.builders import HandClock
from tests.fakes import FailingStore, RememberedSignals

MANY = list(range(LONG))
PIECES = LONG // AT_ONCE


async def test_everything_comes_in_order() -> None:
    assert [list(some) async for some in in_turns(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [list(some) async for some in in_turns("")] == []


async def test_others_run_between() -> None:
    seen: list[str] = []

    async def other() -> None:
        for _ in range(3):
            seen.append("other")
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    seen.extend([str(some) async for some in in_turns("abc", 1)])
    await beside
    assert seen == ["other", "other", "a", "b", "c", "other"]


async def turn() -> None:
    """Let everything that can go on go on once."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_piece_is_done_before_the_next_is_begun() -> None:
    work, done = LongWork(), list[int]()
    pieces = [[number] * len(MANY) for number in range(3)]
    await asyncio.gather(*[work.do(piece, lambda some: done.append(some[0])) for piece in pieces])
    assert done == sorted(done)
    assert len(done) == 3 * PIECES


async def test_long_work_waits_until_nobody_puts_it_off() -> None:
    work, done = LongWork(), list[int]()
    with work.put_off():
        with work.put_off():
            doing = asyncio.create_task(work.do(MANY, done.extend))
            await turn()
        await turn()
        assert done == []
    await doing
    assert done == MANY


async def test_long_work_is_put_off_between_two_turns() -> None:
    work, done = LongWork(), list[int]()
    doing = asyncio.create_task(work.do(MANY, done.extend))
    await asyncio.sleep(0)
    with work.put_off():
        await turn()
        assert done == MANY[:AT_ONCE]
    await doing
    assert done == MANY


async def test_what_is_shorter_is_not_put_off() -> None:
    work, done = LongWork(), list[int]()
    with work.put_off():
        await work.do(MANY[1:], done.extend)
    assert done == MANY[1:]


async def test_what_is_shorter_does_not_stand_behind_what_is_put_off() -> None:
    work, done = LongWork(), list[int]()
    with work.put_off():
        doing = asyncio.create_task(work.do(MANY, done.extend))
        await turn()
        await work.do([7], done.extend)
        assert done == [7]
    await doing


async def test_work_that_fails_or_is_given_up_keeps_nobody_waiting() -> None:
    work, done = LongWork(), list[int]()
    with pytest.raises(ZeroDivisionError):
        await work.do(MANY, lambda some: done.append(some[0] // 0))
    with work.put_off():
        given_up = asyncio.create_task(work.do(MANY, done.extend))
        await turn()
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
    await work.do(MANY, done.extend)
    assert done == MANY


class Noting(FailingStore):
    """A store that notes at each step whether long work is put off."""

    def __init__(self, work: LongWork, faults: Sequence[str] = ()) -> None:
        super().__init__(MemoryBooks(), faults, ZeroDivisionError)
        self._work = work
        self.put_off: dict[str, bool] = {}

    def fail(self, step: str) -> None:
        self.put_off[step] = not self._work._is_due.is_set()
        super().fail(step)


async def test_a_batch_puts_long_work_off_while_it_holds_locks() -> None:
    work = LongWork()
    store = Noting(work)
    await PostEvents(store, HandClock(), Rules(), RememberedSignals(), long_work=work)(Batch([deposit()]))
    held = {"write", "before commit", "after commit"}
    assert store.put_off == {step: step in held for step in ("begin", "claim", "lock", *sorted(held))}
    assert work._is_due.is_set()


@pytest.mark.parametrize("step", ["write", "before commit"])
async def test_a_batch_that_fails_puts_nothing_off(step: str) -> None:
    work = LongWork()
    post = PostEvents(Noting(work, [step]), HandClock(), Rules(), RememberedSignals(), long_work=work)
    with pytest.raises(ZeroDivisionError):
        await post(Batch([deposit()]))
    assert work._is_due.is_set()
