"""Payments are advanced: whatever a provider does and wherever a worker dies, they end with every sum right."""

import asyncio
from collections.abc import Callable

import pytest

from ledger.adapters.memory.provider import Act, MemoryProvider
from ledger.application.lane_rooms import Mood
from ledger.application.payment_calls import Heard
from ledger.application.payment_ports import Room
from ledger.application.providers import (
    Answer,
    ChargeRequest,
    Declined,
    MoneyRequest,
    RefundRequest,
    RetryLater,
    StatusAnswer,
    Unknown,
)
from ledger.domain.payments.happenings import ChargeAccepted, WokeUp
from tests.payment_stage import LEASE_S, RULES, CutOffError, Stage, Tape

Request = ChargeRequest | RefundRequest
ROOM = Room(10, 10, {})


def refuses_refunds(times: int) -> MemoryProvider:
    def script(request: Request, asked: int) -> Act:
        refuses = isinstance(request, RefundRequest) and asked < times
        return Act(books=False, answer=Declined("not now")) if refuses else Act()

    return MemoryProvider(script)


def says(answer: Answer, *, books: bool, times: int = 1) -> MemoryProvider:
    return MemoryProvider(lambda request, asked: Act(books, answer) if asked < times else Act())


def does_not_know_us(times: int) -> MemoryProvider:
    return says(RetryLater("401", 30.0, counts=False), books=False, times=times)


BEHAVIOURS: dict[str, tuple[Callable[[], MemoryProvider], bool, set[str]]] = {
    "accepts": (MemoryProvider, False, {"settled"}),
    "declines": (lambda: MemoryProvider(lambda request, asked: Act(declines="poor")), False, {"released"}),
    "times out after success": (lambda: says(Unknown("no answer"), books=True), False, {"settled"}),
    "loses the call": (lambda: says(Unknown("reset"), books=False), False, {"settled"}),
    "is throttling": (lambda: says(RetryLater("429", 3.0), books=False), False, {"settled"}),
    "does not know us": (lambda: does_not_know_us(5), False, {"settled"}),
    "is away": (lambda: says(RetryLater("no connection"), books=False, times=99), False, {"released"}),
    "is pending": (lambda: MemoryProvider(lambda request, asked: Act(pends=asked == 0)), False, {"settled"}),
    "must give it back": (MemoryProvider, True, {"refunded"}),
    "refuses refunds": (lambda: refuses_refunds(1), True, {"refunded"}),
    "loses a refund's answer": (lambda: says(Unknown("no answer"), books=True), True, {"refunded"}),
}
each_behaviour = pytest.mark.parametrize("behaviour", BEHAVIOURS)


def stage_of(behaviour: str) -> Stage:
    make, refuses_capture, _ = BEHAVIOURS[behaviour]
    stage = Stage(make(), refuses_capture=refuses_capture)
    stage.request()
    return stage


async def played(stage: Stage, tape: Tape | None = None) -> None:
    for _ in range(20):
        await stage.run(tape=tape, rounds=4)
        stage.provider.settle()
    stage.check()


@each_behaviour
async def test_each_behaviour_of_a_provider_has_its_end(behaviour: str) -> None:
    stage = stage_of(behaviour)
    await played(stage)
    assert stage.states() == BEHAVIOURS[behaviour][2]


@each_behaviour
async def test_a_worker_may_die_at_any_place(behaviour: str) -> None:
    tape = Tape()
    await played(stage_of(behaviour), tape)
    assert tape.passed > 6
    for place in range(1, tape.passed + 1):
        stage = stage_of(behaviour)
        await played(stage, Tape(cut_at=place))


async def test_one_that_never_knows_us_is_asked_until_the_deadline() -> None:
    stage = Stage(does_not_know_us(99))
    stage.request()
    await played(stage)
    assert stage.states() == {"expired"}
    assert stage.provider.asked.total() == 10  # every 30 s of the 300 s to its deadline


async def test_a_charge_that_was_answered_and_not_stored_is_asked_for() -> None:
    stage = Stage()
    key = stage.request()
    tape = Tape()
    await stage.round(stage.worker(tape))
    place = tape.places.index("after charge") + 1
    stage = Stage()
    stage.request()
    await stage.round(stage.worker(Tape(cut_at=place)))
    assert isinstance(stage.failures[0], CutOffError)
    assert stage.store.payments[key].saga.state == "charging"
    await stage.run()
    stage.check()
    begun = [each.line.commands for each in stage.store.lines[key] if each.line.begins]
    assert begun == [("charge",), ("query_charge",)]
    assert stage.states() == {"settled"}


class Gate:
    """A provider behind a gate: its charges wait until it opens."""

    def __init__(self) -> None:
        self.inner = MemoryProvider()
        self.came, self.open = asyncio.Event(), asyncio.Event()
        self.moved, self.settle = self.inner.moved, self.inner.settle
        self.charges = 0

    async def charge(self, request: ChargeRequest) -> Answer:
        self.charges += 1
        self.came.set()
        await self.open.wait()
        return await self.inner.charge(request)

    async def refund(self, request: RefundRequest) -> Answer:
        return await self.inner.refund(request)

    async def status(self, request: MoneyRequest) -> StatusAnswer:
        return await self.inner.status(request)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what holds has no event
            await asyncio.sleep(0.002)


async def test_a_worker_that_comes_back_from_the_dead_charges_nobody_twice() -> None:
    gate = Gate()
    stage = Stage(gate)
    key = stage.request()
    zombie = stage.worker()
    lanes = stage.lanes
    await zombie.take_due()
    await gate.came.wait()
    # Its time is over, and another takes the payment: it asks, and does not charge.
    stage.clock.move(RULES.answer_s + 1)
    await stage.round(stage.worker())
    assert stage.store.payments[key].saga.unknown_since is not None
    gate.open.set()
    await lanes.finish(5.0)
    await stage.run()
    stage.check()
    assert gate.charges == 1
    assert stage.states() == {"settled"}


async def test_of_two_who_take_the_same_payment_one_begins() -> None:
    stage = Stage()
    key = stage.request()
    first, second = stage.worker(), stage.worker()
    taken = await stage.store.claim(stage.clock.now(), stage.clock.now(), ROOM)
    woken = Heard(WokeUp())
    moved = await asyncio.gather(first.tell(taken[0], woken), second.tell(taken[0], woken))
    assert [each is None for each in moved].count(True) == 1
    await stage.run()
    stage.check()
    assert stage.provider.asked[f"acme:{key.id}:charge"] == 1


async def test_what_was_taken_by_a_dead_worker_is_due_again_when_its_lease_ends() -> None:
    stage = Stage()
    stage.request()
    await stage.store.claim(stage.clock.now(), stage.clock.time.replace(second=int(LEASE_S)), ROOM)
    assert (await stage.worker().take_due()).begun == 0
    stage.clock.move(LEASE_S + 1)
    await stage.run()
    assert stage.states() == {"settled"}


async def test_a_fact_is_stored_though_somebody_else_moved_the_payment() -> None:
    stage = Stage()
    key = stage.request()
    stale = stage.store.payments[key]
    worker = stage.worker()
    await worker.tell(stale, Heard(ChargeAccepted("ch_7"), "webhook wh_1"))
    moved = await worker.tell(stale, Heard(ChargeAccepted("ch_7"), "webhook wh_1"))
    assert moved is None, "it was known, found after the stored saga was read again"
    await stage.lanes.finish(1.0)
    assert stage.store.payments[key].saga.charge_reference == "ch_7"


async def test_a_provider_that_hangs_holds_up_neither_others_nor_claims() -> None:
    gate = Gate()
    stage = Stage(gate)
    for number in range(20):
        stage.request(("slow", number))
    worker = stage.worker()
    assert await worker.take_due() == (4, 0, False)
    await gate.came.wait()
    assert await worker.take_due() == (0, 0, False), "what has no place is not even taken"
    quick = stage.request("quick", provider="other")
    assert await worker.take_due() == (1, 0, False)
    await until(lambda: stage.store.payments[quick].saga.state == "charging")
    assert sum(payment.version > 1 for payment in stage.store.payments.values()) == 5
    gate.open.set()
    await stage.run()
    stage.check()


async def test_a_place_is_free_again_when_the_answer_is_there() -> None:
    gate = Gate()
    stage = Stage(gate)
    stage.providers.places["acme", "bank"] = 1
    stage.request("a")
    stage.request("b")
    worker = stage.worker()
    pokes: list[str] = []
    worker.when_due(lambda: pokes.append("due"))
    assert (await worker.take_due()).begun == 1
    await gate.came.wait()
    assert (await worker.take_due(), pokes) == ((0, 0, False), [])
    gate.open.set()
    await until(lambda: bool(pokes))
    assert (await worker.take_due()).begun == 1
    await stage.lanes.finish(1.0)
    assert (gate.charges, pokes) == (2, ["due"] * 2)
    await worker.take_due()
    stage.request("c")
    await stage.round(worker)
    assert len(pokes) == 3, "one for each time that a place came free while there was no more room"


async def test_no_more_are_taken_than_may_be_in_hand() -> None:
    gate = Gate()
    stage = Stage(gate)
    for number in range(3):
        stage.request(number)
    worker = stage.worker(in_hand=2)
    pokes: list[str] = []
    worker.when_due(lambda: pokes.append("due"))
    assert await worker.take_due() == (2, 0, True)
    assert (await worker.take_due(), pokes) == ((0, 0, False), [])
    gate.open.set()
    await until(lambda: bool(pokes))
    await stage.lanes.finish(1.0)
    assert (await worker.take_due()).begun > 0
    await stage.run()
    stage.check()


async def test_what_news_lead_to_is_due_at_once() -> None:
    stage = Stage(refuses_capture=True)
    key = stage.request()
    worker = stage.worker()
    pokes: list[str] = []
    worker.when_due(lambda: pokes.append("due"))
    await stage.round(worker)
    assert (await worker.hear([key]), pokes) == (1, ["due"])
    assert stage.states() == {"refunding"}
    await stage.round(worker)
    assert stage.states() == {"releasing"}


async def test_a_payment_past_its_deadline_ends_though_its_lane_is_full() -> None:
    gate = Gate()
    stage = Stage(gate)
    stage.providers.places["acme", "bank"] = 1
    stage.request("hangs")
    worker = stage.worker()
    await worker.take_due()
    await gate.came.wait()
    late = stage.request("late", deadline_s=2)
    stage.clock.move(3)
    assert (await worker.take_due()).begun == 1
    await until(lambda: stage.store.payments[late].saga.state == "releasing")
    gate.open.set()
    await stage.run()
    stage.check()


async def test_payments_wait_while_a_breaker_is_open_and_go_on_by_themselves() -> None:
    stage = Stage()
    key = stage.request()
    stage.providers.moods["bank"] = Mood.WAITS
    await stage.round(stage.worker())
    assert stage.store.payments[key].version == 1
    stage.providers.moods["bank"] = Mood.UP
    stage.clock.move(LEASE_S)
    await stage.run()
    assert stage.states() == {"settled"}


async def test_a_payment_that_waits_for_a_breaker_ends_at_its_deadline() -> None:
    stage = Stage()
    stage.request(deadline_s=20)
    stage.providers.moods["bank"] = Mood.WAITS
    await stage.run()
    stage.check()
    assert stage.states() == {"expired"}


async def test_a_tenant_may_have_payments_declined_while_a_breaker_is_open() -> None:
    stage = Stage()
    key = stage.request()
    stage.providers.moods["bank"] = Mood.DECLINES
    await stage.run()
    stage.check()
    assert stage.states() == {"released"}
    assert stage.store.payments[key].saga.reason == "provider unavailable"
    assert not stage.provider.asked


async def test_one_payment_at_a_time_tries_a_provider_that_was_away() -> None:
    gate = Gate()
    stage = Stage(gate)
    for number in range(6):
        stage.request(number)
    stage.providers.moods["bank"] = Mood.TRIES
    worker = stage.worker()
    pokes: list[str] = []
    worker.when_due(lambda: pokes.append("due"))
    assert (await worker.take_due()).begun == 1
    await gate.came.wait()
    assert (await worker.take_due()).begun == 0
    stage.providers.moods["bank"] = Mood.UP
    gate.open.set()
    await until(lambda: bool(pokes))
    assert (await worker.take_due()).begun == 4, "it fills at once"
    await stage.lanes.finish(1.0)


async def test_the_timeline_says_what_happened_and_when_it_is_tried_again() -> None:
    stage = Stage(says(RetryLater("429", 3.0), books=False))
    key = stage.request()
    await stage.run()
    lines = [each.line for each in stage.store.lines[key]]
    assert [(line.happening, line.state.value, line.commands, line.attempt) for line in lines] == [
        ("woke_up", "charging", ("charge",), 1),
        ("retry_later", "charging", (), 1),
        ("woke_up", "charging", ("charge",), 2),
        ("charge_accepted", "charged", ("capture",), 2),
        ("capture_posted", "settled", (), None),
    ]
    assert lines[1].detail == "429"
    assert lines[1].next_at is not None
    assert lines[3].event_id == lines[4].event_id == stage.books.published[0]["id"]


async def test_an_operator_is_called_and_called_again() -> None:
    stage = Stage(refuses_refunds(99), refuses_capture=True)
    stage.request()
    await stage.run(rounds=25)
    assert stage.states() == {"needs_operator"}
    alerts = [facts["reason"] for name, facts in stage.heard if name == "payment.alerted"]
    assert len(alerts) > 1
    assert alerts[0] == "out of refund tries: not now"


async def test_outcomes_that_are_heard_of_move_payments_at_once() -> None:
    stage = Stage()
    key = stage.request()
    worker = stage.worker()
    await stage.round(worker)
    assert stage.states() == {"charged"}
    assert await worker.hear([key]) == 1
    assert stage.states() == {"settled"}
    assert await worker.hear([key]) == 0
