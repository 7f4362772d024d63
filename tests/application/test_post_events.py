"""Posting batches: each event once, however often and in whatever pieces it comes."""

from datetime import datetime, timedelta

import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.faults import PositionGapError
from ledger.application.ports import Position
from ledger.application.post_events import Batch, DecideNow, PostEvents
from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from ledger.domain.books import Books, Rules
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from tests.application.office import Office, deposit, digest
from tests.builders import NOW, HandClock, event, event_id, transfer
from tests.fakes import FailingStore, RememberedSignals

# A batch


async def test_events_of_a_batch_see_each_other() -> None:
    office = Office()
    assert await office.answers(
        transfer("ann", "shop", 1, name=1), deposit(2), transfer("ann", "shop", 1000, name=3)
    ) == ["insufficient_funds", "posted", "posted"]


async def test_outcomes_come_in_the_order_of_events() -> None:
    events = [deposit(name) for name in "abcde"]
    assert [outcome.event for outcome in await Office().post(*events)] == events


async def test_empty_batch_is_posted() -> None:
    assert await Office().post() == []


async def test_batch_may_hold_many_tenants() -> None:
    office = Office()
    await office.post(deposit(tenant="acme"), deposit(tenant="other", amount=7))
    assert (office.balance("ann"), office.balance("ann", "other")) == (1000, 7)


async def test_hold_and_capture_in_one_batch() -> None:
    office = Office()
    place = event(
        "hold.place.v1", {"debit": "ann", "credit": "shop", "amount": 5, "asset": "USD/2"}, name="h"
    )
    capture = event("hold.capture.v1", {"hold": place.id}, name="c")
    assert await office.answers(deposit(), place, capture) == ["posted"] * 3


async def test_reversal_in_the_batch_of_its_original() -> None:
    office = Office()
    original = deposit()
    reverse = event("transaction.reverse.v1", {"transaction": original.id}, name="r")
    again = event("transaction.reverse.v1", {"transaction": original.id}, name="r2")
    assert await office.answers(original, reverse, again) == ["posted", "posted", "already_reversed"]


async def test_open_close_and_use_in_one_batch() -> None:
    opening = event("account.open.v1", {"account": "ann"}, name=1)
    closing = event("account.close.v1", {"account": "ann"}, name=2)
    assert await Office().answers(opening, closing, deposit(3)) == ["posted", "posted", "account_closed"]


async def test_strangers_wait_to_be_opened() -> None:
    office = Office()
    office.books.contents.closed_to_strangers.add("acme")
    assert await office.answers(deposit()) == ["account_not_found"]


# One id, one outcome


async def test_duplicate_in_a_batch_is_absorbed() -> None:
    office = Office()
    assert await office.answers(deposit(), deposit()) == ["posted", "duplicate"]
    assert office.balance("ann") == 1000


async def test_duplicate_in_another_batch_is_absorbed() -> None:
    office = Office()
    await office.post(deposit())
    assert await office.answers(deposit()) == ["duplicate"]
    assert office.balance("ann") == 1000


async def test_duplicate_names_the_transaction() -> None:
    office = Office()
    [first, second] = await office.post(deposit(), deposit())
    assert second.transaction == first.transaction == first.event.id


async def test_duplicate_of_a_refusal_tells_the_reason() -> None:
    office = Office()
    refused = transfer("ann", "shop", 1, name="r")
    await office.post(refused)
    await office.post(deposit())
    [again] = await office.post(refused)
    assert (again.kind, again.reason, again.transaction) == ("duplicate", "insufficient_funds", None)


async def test_reused_id_in_a_batch_is_refused() -> None:
    office = Office()
    assert await office.answers(deposit(), deposit(amount=1)) == ["posted", "event_id_reused"]
    assert office.balance("ann") == 1000


async def test_reused_id_in_another_batch_is_refused() -> None:
    office = Office()
    await office.post(deposit())
    assert await office.answers(deposit(amount=1)) == ["event_id_reused"]


async def test_reused_id_does_not_take_over() -> None:
    office = Office()
    await office.answers(deposit(), deposit(amount=1))
    assert await office.answers(deposit()) == ["duplicate"]


async def test_reuse_is_told_before_anything_else() -> None:
    office = Office()
    await office.post(deposit())
    office.clock.move(100 * 86400)
    assert await office.answers(transfer("ann", "ann", 0, name="d"), deposit()) == [
        "event_id_reused",
        "duplicate",
    ]


async def test_same_id_of_another_tenant_is_another_event() -> None:
    assert await Office().answers(deposit(), deposit(tenant="other")) == ["posted", "posted"]


async def test_opening_twice_is_a_duplicate_by_content() -> None:
    office = Office()
    opening = [event("account.open.v1", {"account": "ann"}, name=name) for name in (1, 2, 2)]
    [first, second, third] = await office.post(*opening)
    assert [each.kind for each in (first, second, third)] == ["posted", "duplicate", "duplicate"]


# Delivered again


async def test_redelivery_gives_the_first_outcome() -> None:
    office = Office()
    events = [deposit(1, at=(0, 7)), transfer("ann", "shop", 5000, name=2, at=(0, 8))]
    first = await office.post(*events)
    office.clock.move(60)
    assert await office.post(*events) == first


async def test_redelivery_beside_a_duplicate() -> None:
    office = Office()
    await office.post(deposit(at=(0, 7)), deposit(at=(0, 9)))
    assert await office.answers(deposit(at=(0, 7)), deposit(at=(0, 9)), deposit(at=(1, 7))) == [
        "posted",
        "duplicate",
        "duplicate",
    ]


async def test_redelivered_record_is_announced() -> None:
    office = Office()
    await office.post(deposit(at=(0, 7)))
    await office.post(deposit(at=(0, 7)))
    assert office.signals.names() == ["batch.posted", "events.redelivered", "batch.posted"]


async def test_other_content_at_the_same_place_is_reuse() -> None:
    office = Office()
    await office.post(deposit(at=(0, 7)))
    assert await office.answers(deposit(amount=1, at=(0, 7))) == ["event_id_reused"]


async def test_event_without_a_place_is_no_redelivery() -> None:
    office = Office()
    await office.post(deposit())
    assert await office.answers(deposit()) == ["duplicate"]


# Position


def run(first: int, following: int, partition: int = 0) -> Position:
    return Position("payments", partition, first, following)


async def test_positions_join() -> None:
    office = Office()
    await office.books.begin("payments", {0: 5})
    for position in (run(5, 9), run(9, 12), run(12, 12)):
        await office.post(position=position)
    assert office.books.contents.positions == {("payments", 0): 12}


class Told(FailingStore):
    """Notes each step."""

    def __init__(self) -> None:
        super().__init__(MemoryBooks(), [])
        self.steps: list[str] = []

    def fail(self, step: str) -> None:
        self.steps.append(step)


async def test_the_position_is_moved_before_anything_is_locked() -> None:
    """Whoever waits for a predecessor in its partition keeps nobody else waiting meanwhile."""
    store = Told()
    await Office(store).post(deposit(), position=run(0, 1))
    assert store.steps == ["begin", "claim", "advance", "lock", "write", "before commit", "after commit"]


async def test_position_never_goes_back() -> None:
    office = Office()
    await office.books.begin("payments", {0: 5})
    for position in (run(5, 9), run(5, 7), run(6, 10), run(0, 3)):
        await office.post(position=position)
    assert office.books.contents.positions == {("payments", 0): 10}


async def test_gap_stops_the_batch() -> None:
    office = Office()
    await office.books.begin("payments", {0: 5})
    await office.post(position=run(5, 9))
    with pytest.raises(PositionGapError, match="3 records would be skipped") as caught:
        await office.post(deposit(), position=run(12, 13))
    assert (caught.value.expected, caught.value.first) == (9, 12)


async def test_books_that_never_saw_a_partition_expect_its_beginning() -> None:
    office = Office()
    with pytest.raises(PositionGapError) as caught:
        await office.post(position=run(5, 9))
    assert (caught.value.expected, caught.value.first) == (0, 5)


async def test_gap_leaves_no_trace() -> None:
    office = Office()
    await office.books.begin("payments", {0: 5})
    await office.post(position=run(5, 9))
    with pytest.raises(PositionGapError):
        await office.post(deposit(), position=run(12, 13))
    assert (office.books.contents.processed, office.books.contents.balances) == ({}, {})


async def test_partitions_stand_each_for_itself() -> None:
    office = Office()
    await office.books.begin("payments", {0: 5})
    await office.post(position=run(5, 9))
    await office.post(position=run(0, 71, partition=1))
    assert office.books.contents.positions == {("payments", 0): 9, ("payments", 1): 71}


# Dead letters


def letter(offset: int, detail: str = "why") -> DeadLetter:
    record = Record("payments", 0, offset, None, b"\xff")
    return DeadLetter(record, DeadLetterReason.MALFORMED_JSON, detail, NOW)


async def test_dead_letters_are_kept_once() -> None:
    office = Office()
    await office.books.begin("payments", {0: 3})
    await office.post_letters(letter(3), letter(4), position=run(3, 5))
    await office.post_letters(letter(4, "again"), letter(5), position=run(4, 6))
    kept = office.books.contents.dead_letters
    assert [(key[2], each.detail) for key, each in sorted(kept.items())] == [
        (3, "why"),
        (4, "why"),
        (5, "why"),
    ]


async def test_dead_letter_moves_the_position() -> None:
    office = Office()
    await office.books.begin("payments", {0: 3})
    await office.post_letters(letter(3), position=run(3, 4))
    assert office.books.contents.positions == {("payments", 0): 4}


# Faults


@pytest.mark.parametrize("step", ["begin", "lock", "claim", "write", "advance", "before commit"])
async def test_transient_fault_is_waited_out(step: str) -> None:
    books = MemoryBooks()
    office = Office(FailingStore(books, [step] * 3), books)
    [outcome] = await office.post(deposit(at=(0, 0)), position=run(0, 1))
    assert (outcome.kind, office.balance("ann")) == ("posted", 1000)


async def test_fault_leaves_no_trace() -> None:
    books = MemoryBooks()
    office = Office(FailingStore(books, ["before commit"], ValueError), books)
    with pytest.raises(ValueError, match="failed at before commit"):
        await office.post(deposit())
    assert digest(books.contents) == digest(MemoryBooks().contents)


async def test_lost_answer_of_a_commit_is_recalled() -> None:
    books = MemoryBooks()
    office = Office(FailingStore(books, ["after commit"]), books)
    [outcome] = await office.post(deposit(at=(0, 0)), position=run(0, 1))
    assert (outcome.kind, len(outcome.entries), office.balance("ann")) == ("posted", 2, 1000)


async def test_lost_answer_without_a_place_is_a_duplicate() -> None:
    books = MemoryBooks()
    office = Office(FailingStore(books, ["after commit"]), books)
    assert (await office.answers(deposit()), office.balance("ann")) == (["duplicate"], 1000)


async def test_each_fault_is_announced() -> None:
    books = MemoryBooks()
    office = Office(FailingStore(books, ["lock", "write"]), books)
    await office.post(deposit())
    assert office.signals.names() == ["batch.delayed", "batch.delayed", "batch.posted"]


async def test_bug_is_not_waited_out() -> None:
    books = MemoryBooks()
    office = Office(FailingStore(books, ["claim"], KeyError), books)
    with pytest.raises(KeyError):
        await office.post(deposit())


async def test_long_outage_is_outlasted() -> None:
    books = MemoryBooks()
    office = Office(FailingStore(books, ["begin"] * 1050), books)
    assert await office.answers(deposit()) == ["posted"]


# Clocks


class Dated(DecideNow):
    """Notes at which time it decides."""

    def __init__(self) -> None:
        self.times: list[datetime] = []

    def decide(self, event: Event, books: Books, now: datetime, rules: Rules) -> Outcome:
        self.times.append(now)
        return super().decide(event, books, now, rules)


@pytest.mark.parametrize(
    ("behind_s", "dated_s"), [(0.9, 0.000001), (0.0, 0.000001), (1.1, -1.1), (-5.0, 5.0)]
)
async def test_every_batch_is_dated_after_what_it_follows_on_as_far_as_clocks_differ(
    behind_s: float, dated_s: float
) -> None:
    books, judge = MemoryBooks(), Dated()
    clocks = HandClock(), HandClock(NOW - timedelta(seconds=behind_s))
    ahead, behind = (PostEvents(books, at, Rules(), RememberedSignals(), judge=judge) for at in clocks)
    await ahead(Batch([deposit(1)]))
    await behind(Batch([transfer("ann", "shop", 1, name=2)]))
    await behind(Batch([transfer("external:bank", "stranger", 1, name=3)]))
    first, second, third = judge.times
    assert second - first == timedelta(seconds=dated_s)
    assert third == second, "the bank has been posted to as well"


async def test_one_balance_that_is_far_ahead_hides_no_other() -> None:
    books, judge = MemoryBooks(), Dated()
    far, ahead, behind = (
        PostEvents(books, HandClock(at), Rules(), RememberedSignals(), judge=judge)
        for at in (NOW + timedelta(seconds=60), NOW, NOW - timedelta(seconds=0.5))
    )
    await ahead(Batch([transfer("external:bank", "near", 1, name=1)]))
    await far(Batch([transfer("external:fx", "far", 1, name=2)]))
    await behind(Batch([transfer("near", "far", 1, name=3)]))
    first, _, third = judge.times
    assert third - first == timedelta(microseconds=1)


async def test_what_is_done_about_a_hold_is_dated_after_it_was_placed() -> None:
    books, judge = MemoryBooks(), Dated()
    ahead, behind = (
        PostEvents(books, HandClock(at), Rules(), RememberedSignals(), judge=judge)
        for at in (NOW, NOW - timedelta(seconds=0.5))
    )
    await behind(Batch([deposit(1)]))
    placed = {"debit": "ann", "credit": "shop", "amount": 7, "asset": "USD/2"}
    await ahead(Batch([event("hold.place.v1", placed, name="h")]))
    await behind(Batch([event("hold.void.v1", {"hold": event_id("h")}, name="v")]))
    _, hold, void = judge.times
    assert void - hold == timedelta(microseconds=1)
