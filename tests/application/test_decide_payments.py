"""Operators decide about payments that need them, and about no others; who and why is kept."""

from collections.abc import Sequence

import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.provider import Act, MemoryProvider
from ledger.adapters.memory.provider_board import MemoryProviderBoard
from ledger.application.decide_payments import NoPaymentError, NotForOperatorsError, PaymentDesk
from ledger.application.payment_ports import NumberedLine, Payment, PaymentKey
from ledger.application.providers import Declined, RefundRequest
from ledger.application.saga_mover import Outside, SagaMover
from ledger.domain.payments.happenings import Decision
from ledger.domain.payments.saga import State
from tests.builders import event_id
from tests.payment_stage import RULES, Stage


class Reader:
    """A PaymentReader over the store of a stage."""

    def __init__(self, stage: Stage) -> None:
        self.store = stage.store

    async def payment(self, key: PaymentKey) -> Payment | None:
        return self.store.payments.get(key)

    async def payments(
        self, tenant: str | None, states: Sequence[State], before: PaymentKey | None, limit: int
    ) -> Sequence[Payment]:
        return [each for each in self.store.payments.values() if not states or each.saga.state in states]

    async def tenants_of(self, payment_id: str) -> Sequence[str]:
        return [key.tenant for key in self.store.payments if key.id == payment_id]

    async def timeline(self, key: PaymentKey, after: int, limit: int) -> Sequence[NumberedLine]:
        return [each for each in self.store.lines.get(key, []) if each.number > after][:limit]


def refuses_refunds() -> MemoryProvider:
    def script(request: object, asked: int) -> Act:
        return Act(books=False, answer=Declined("not now")) if isinstance(request, RefundRequest) else Act()

    return MemoryProvider(script)


def desk_of(stage: Stage) -> PaymentDesk:
    outside = Outside(stage.clock, lambda: 0.5, lambda payment_id: event_id("fresh"))
    mover = SagaMover(stage.store, outside, RULES, stage.signals)
    return PaymentDesk(Reader(stage), mover, MemoryProviderBoard(MemoryBooks()), stage.clock)


async def stuck() -> tuple[Stage, PaymentKey]:
    stage = Stage(refuses_refunds(), refuses_capture=True)
    key = stage.request()
    await stage.run(rounds=25)
    assert stage.states() == {"needs_operator"}
    return stage, key


async def test_a_retry_is_carried_out_by_a_worker() -> None:
    stage, key = await stuck()
    stage.provider.script = lambda request, asked: Act()
    decided = await desk_of(stage).decide(key, Decision.RETRY, by="eve", why="they are back")
    assert decided.saga.state == "refunding"
    await stage.run()
    stage.check()
    assert stage.states() == {"refunded"}


async def test_what_was_looked_up_leads_on_with_who_and_why() -> None:
    stage, key = await stuck()
    desk = desk_of(stage)
    await desk.decide(key, Decision.NOT_CHARGED, by="eve", why="paid back by hand")
    _, lines = await desk.find(key)
    last = lines[-1].line
    assert (last.happening, last.by, last.detail) == ("told_not_charged", "eve", "paid back by hand")
    assert last.state == "releasing"


async def test_what_contradicts_is_told_and_does_nothing() -> None:
    stage, key = await stuck()
    with pytest.raises(NotForOperatorsError, match="contradicts"):
        await desk_of(stage).decide(key, Decision.HOLD_CLOSED, by="eve", why="?")
    assert stage.states() == {"needs_operator"}


async def test_a_payment_that_goes_on_by_itself_is_not_for_operators() -> None:
    stage = Stage()
    key = stage.request()
    with pytest.raises(NotForOperatorsError, match="funds_held"):
        await desk_of(stage).decide(key, Decision.RETRY, by="eve", why="?")


async def test_of_no_payment_nothing_is_decided() -> None:
    stage = Stage()
    with pytest.raises(NoPaymentError):
        await desk_of(stage).decide(PaymentKey("acme", event_id("x")), Decision.RETRY, by="eve", why="?")


async def test_those_that_need_an_operator_are_listed() -> None:
    stage, key = await stuck()
    stage.request("other")
    found = await desk_of(stage).list(None, [State.NEEDS_OPERATOR], 10)
    assert [each.key for each in found] == [key]


async def test_what_contradicts_is_told_each_time() -> None:
    stage, key = await stuck()
    for _ in range(2):
        with pytest.raises(NotForOperatorsError, match="contradicts"):
            await desk_of(stage).decide(key, Decision.CHARGED, by="eve", why="?", reference="another")
    assert stage.store.payments[key].saga.contradictions == ()


async def test_all_of_a_provider_are_retried_at_once() -> None:
    stage, key = await stuck()
    stage.provider.script = lambda request, asked: Act()
    desk = desk_of(stage)
    assert await desk.stuck(None, "another") == []
    (found,) = await desk.stuck(None, "bank")
    gone = PaymentKey("acme", event_id("gone"))
    (retried,) = await desk.retry_all([gone, found.key], by="eve", why="they are back")
    assert (retried.key, retried.saga.state.value) == (key, "refunding")
    assert await desk.retry_all([key], by="eve", why="once more") == []
