"""Posting batches: each event once, however often and in whatever pieces it comes."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.adapters.memory.books import Contents, MemoryBooks
from ledger.application.faults import PositionGapError
from ledger.application.ports import BookStore, Position
from ledger.application.post_events import Batch, PostEvents
from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from ledger.domain.account import default_account
from ledger.domain.books import Rules
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from tests.builders import NOW, HandClock, event, transfer
from tests.fakes import FailingStore, RememberedSignals
from tests.random_events import random_stream


class Office:
    """The use case over books in memory, with a clock by hand."""

    def __init__(self, store: BookStore | None = None, books: MemoryBooks | None = None) -> None:
        self.books = books or MemoryBooks()
        self.clock = HandClock()
        self.signals = RememberedSignals()
        self._post = PostEvents(store or self.books, self.clock, Rules(), self.signals, backoff_max_s=0.001)

    async def post(self, *events: Event, position: Position | None = None) -> list[Outcome]:
        return await self._post(Batch(events, position=position))

    async def post_letters(self, *letters: DeadLetter, position: Position | None = None) -> list[Outcome]:
        return await self._post(Batch([], letters, position))

    async def answers(self, *events: Event) -> list[str]:
        return [answer(outcome) for outcome in await self.post(*events)]

    def balance(self, account: str, tenant: str = "acme") -> int:
        return self.books.contents.balances[tenant, account, "USD/2"].balance


def answer(outcome: Outcome) -> str:
    return str(outcome.reason or outcome.kind)


def deposit(name: object = "d", amount: int = 1000, **more: object) -> Event:
    return transfer("external:bank", "ann", amount, name=name, **more)


def digest(contents: Contents) -> dict[str, object]:
    """What the books hold, without where and by what it was read."""
    return {
        "accounts": {
            key: (each.normal_side, each.overdraft, each.metadata, each.closed)
            for key, each in contents.accounts.items()
        },
        "balances": {
            key: (each.posted_debits, each.posted_credits, each.held, each.version, each.last_posted_at)
            for key, each in contents.balances.items()
        },
        "holds": {
            key: (each.left, each.captured, each.released, each.state) for key, each in contents.holds.items()
        },
        "entries": {key: each.entries for key, each in contents.transactions.items()},
        "reversed": {key: each.reversed for key, each in contents.originals.items()},
        "processed": {
            key: (each.kind, each.reason, each.posted_at) for key, each in contents.processed.items()
        },
    }


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


# Streams in pieces


def pieces(events: Sequence[Event], cuts: Sequence[int]) -> list[Sequence[Event]]:
    bounds = [0, *sorted(cut % (len(events) + 1) for cut in cuts), len(events)]
    return [events[start:end] for start, end in pairwise(bounds)]


STREAMS = st.builds(random_stream, st.randoms(use_true_random=False), st.integers(1, 40))
CUTS = st.lists(st.integers(0, 1000), max_size=8)


@given(STREAMS, CUTS)
async def test_any_batches_give_the_same_books(stream: list[Event], cuts: list[int]) -> None:
    whole, split = Office(), Office()
    at_once = await whole.answers(*stream)
    in_pieces = [each for piece in pieces(stream, cuts) for each in await split.answers(*piece)]
    assert in_pieces == at_once
    assert digest(split.books.contents) == digest(whole.books.contents)


@given(STREAMS, CUTS, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4))
async def test_redelivery_anywhere_changes_nothing(
    stream: list[Event], cuts: list[int], again: list[tuple[int, int]]
) -> None:
    once, often = Office(), Office()
    await once.post(*stream)
    for number, piece in enumerate(pieces(stream, cuts)):
        await often.post(*piece)
        done = piece[-1].offset or 0 if piece else 0
        for start, end in again[number : number + 2]:
            await often.post(*stream[start : min(end, done + 1)])
    assert digest(often.books.contents) == digest(once.books.contents)


@given(STREAMS)
async def test_duplicates_change_nothing(stream: list[Event]) -> None:
    office = Office()
    await office.post(*stream)
    before = digest(office.books.contents)
    await office.post(*stream[::-1])
    assert digest(office.books.contents) == before


@given(STREAMS)
async def test_tenants_sum_to_zero(stream: list[Event]) -> None:
    office = Office()
    await office.post(*stream)
    sums: dict[str, int] = {}
    for balance in office.books.contents.balances.values():
        sums[balance.asset] = sums.get(balance.asset, 0) + balance.posted_credits - balance.posted_debits
    assert not any(sums.values())


def test_draft_does_not_stand() -> None:
    assert not default_account("acme", "ann").stands
