"""Payments to another tenant whose books lag behind the log, and whose workers die: never money in both tenants."""

from collections.abc import Iterator

import pytest

from ledger.application import leg_desk
from ledger.application.decide_payments import NotForOperatorsError
from ledger.domain.payments.happenings import Decision
from ledger.domain.payments.saga import State
from tests.application.test_decide_payments import desk_of
from tests.application.test_ledger_provider import Books
from tests.payment_doubles import AMOUNT
from tests.payment_stage import Stage, Tape

PLACES_MAX = 40


@pytest.fixture(autouse=True, scope="module")
def _no_waits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leg_desk, "LOOK_S", 0.0)
        patch.setattr(leg_desk, "LOOKS", 2)
        yield


def staged(books: Books, *, refuses_capture: bool = False) -> Stage:
    stage = Stage(books.provider(), refuses_capture=refuses_capture)
    stage.request(provider="ledger:rival", deadline_s=20)
    return stage


def moved(books: Books) -> int:
    """What the receiver has of the posted legs."""
    posted = [books.events[each]["type"] for each, said in books.said.items() if said.posted]
    return AMOUNT * (posted.count("transfer.post.v1") - posted.count("transaction.reverse.v1"))


def check(stage: Stage, books: Books, ends: str) -> None:
    [hold] = stage.store.holds.values()
    assert stage.states() == {ends}
    assert (moved(books), hold.left) == (hold.captured, 0)


async def test_charge_that_lies_in_the_log_past_the_deadline_is_waited_for() -> None:
    books = Books(is_away=True)
    stage = staged(books)
    await stage.run(rounds=20)
    [payment] = stage.store.payments.values()
    assert stage.clock.now() > payment.saga.deadline
    assert stage.states() == {"charging"}
    books.catch_up()
    await stage.run()
    check(stage, books, "settled")


async def test_charge_that_is_refused_late_is_released() -> None:
    books = Books(is_away=True, refuses=["insufficient_funds"])
    stage = staged(books)
    await stage.run(rounds=20)
    books.catch_up()
    await stage.run()
    check(stage, books, "released")
    [payment] = stage.store.payments.values()
    assert payment.saga.reason == "insufficient_funds"


async def test_charge_that_lags_for_too_long_needs_an_operator_and_is_not_released() -> None:
    books = Books(is_away=True)
    stage = staged(books)
    await stage.run(rounds=60)
    assert stage.states() == {"needs_operator"}
    [key] = stage.store.payments
    for decision, reference in [(Decision.NOT_CHARGED, None), (Decision.CHARGED, "ch_1")]:
        with pytest.raises(NotForOperatorsError, match="the books of rival"):
            await desk_of(stage).decide(key, decision, by="ann", why="I think so", reference=reference)
    await desk_of(stage).decide(key, Decision.RETRY, by="ann", why="it posts again")
    books.catch_up()
    await stage.run()
    check(stage, books, "settled")


async def test_refund_that_lies_in_the_log_is_waited_for_and_done_once() -> None:
    books = Books()
    stage = staged(books, refuses_capture=True)
    while stage.states() != {"refunding"}:
        await stage.run(rounds=1)
    books.is_away = True
    await stage.run(rounds=5)
    assert stage.states() == {"refunding"}
    books.catch_up()
    await stage.run()
    check(stage, books, "refunded")
    assert [each["type"] for each in books.events.values()].count("transaction.reverse.v1") == 1


@pytest.mark.parametrize("lags", [False, True])
@pytest.mark.parametrize("refuses_capture", [False, True])
@pytest.mark.parametrize("cut_at", range(1, PLACES_MAX))
async def test_worker_may_die_anywhere(cut_at: int, refuses_capture: bool, lags: bool) -> None:
    books = Books(is_away=lags)
    stage = staged(books, refuses_capture=refuses_capture)
    tape = Tape(cut_at)
    await stage.run(tape=tape, rounds=20)
    books.catch_up()
    await stage.run()
    check(stage, books, State.REFUNDED if refuses_capture else State.SETTLED)
