"""Two books compared: what differs is named, with the first entry or hold in which it does."""

import copy

import msgspec
import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.standings import MemoryBooksToRead
from ledger.application import compare_books
from ledger.application.compare_books import CompareBooks, Comparison, View, digest_both, digest_standings
from ledger.application.post_events import Batch, PostEvents
from ledger.domain.books import Rules
from ledger.domain.commands import Event
from tests.builders import HandClock, event, event_id, transfer
from tests.fakes import RememberedSignals

HISTORY = [
    transfer("external:bank", "ann", 500, name="fund"),
    transfer("ann", "bob", 20, name="first"),
    transfer("ann", "bob", 30, name="second"),
    event("hold.place.v1", {"debit": "ann", "credit": "bob", "amount": 7, "asset": "USD/2"}, name="hold"),
    transfer("bob", "eve", 5, name="third"),
]


async def books_of(*events: Event) -> MemoryBooks:
    books = MemoryBooks()
    await PostEvents(books, HandClock(), Rules(), RememberedSignals())(Batch(events))
    return books


async def compared(
    left: MemoryBooks, right: MemoryBooks, view: View = View.BALANCES, shown: int = 100
) -> Comparison:
    async with (
        MemoryBooksToRead(left).snapshot() as ours,
        MemoryBooksToRead(right).snapshot() as theirs,
    ):
        return await CompareBooks(ours, theirs)(view, shown)


async def both_of(books: MemoryBooks) -> str:
    async with MemoryBooksToRead(books).snapshot() as standings:
        return await digest_both(standings)


@pytest.mark.parametrize("view", list(View))
async def test_equal_books_are_the_same(view: View) -> None:
    found = await compared(await books_of(*HISTORY), await books_of(*HISTORY), view)
    assert found.same
    assert found.left == found.right


async def test_entries_add_up_to_what_balances_say() -> None:
    async with MemoryBooksToRead(await books_of(*HISTORY)).snapshot() as standings:
        balances, entries = [
            [each async for page in standings.read(view) for each in page if not each.is_blank]
            for view in View
        ]
    assert balances == [msgspec.structs.replace(each, entries=0) for each in entries]
    assert all(each.entries for each in entries)


@pytest.mark.parametrize("is_changed", [False, True])
async def test_digest_of_both_is_another_where_entries_do_not_make_the_balances(is_changed: bool) -> None:
    books = await books_of(*HISTORY)
    async with MemoryBooksToRead(books).snapshot() as standings:
        sound = await digest_both(standings)
    if is_changed:
        key = next(key for key, each in books.contents.transactions.items() if each.id == event_id("first"))
        row = books.contents.transactions[key]
        entries = [msgspec.structs.replace(each, amount=each.amount * 2) for each in row.entries]
        books.contents.transactions = {
            **books.contents.transactions,
            key: msgspec.structs.replace(row, entries=entries),
        }
    async with MemoryBooksToRead(books).snapshot() as standings:
        assert (await digest_both(standings) != sound) == is_changed
        assert (await digest_standings(standings, View.BALANCES)).overall.hex() in sound


async def test_each_account_that_an_event_moved_is_named_with_its_entry() -> None:
    without = [each for each in HISTORY if each.id != event_id("second")]
    found = await compared(await books_of(*HISTORY), await books_of(*without))
    assert [(each.account, each.entry) for each in found.differences] == [("ann", 3), ("bob", 2)]
    assert {each.left_entry and each.left_entry.event_id for each in found.differences} == {
        event_id("second")
    }


async def test_an_account_that_only_one_has_is_named() -> None:
    found = await compared(await books_of(*HISTORY), await books_of(*HISTORY[:-1]))
    eve = next(each for each in found.differences if each.account == "eve")
    assert (eve.right, eve.right_entry) == (None, None)
    backwards = await compared(await books_of(*HISTORY[:-1]), await books_of(*HISTORY))
    assert next(each for each in backwards.differences if each.account == "eve").left is None


async def test_an_amount_changed_by_hand_is_named_by_its_entry() -> None:
    ours, theirs = await books_of(*HISTORY), await books_of(*HISTORY)
    theirs.contents.balances = copy.deepcopy(theirs.contents.balances)
    theirs.contents.balances["acme", "bob", "USD/2"].posted_credits += 1
    found = await compared(ours, theirs)
    assert [(each.account, each.what, each.entry) for each in found.differences] == [
        ("bob", ["posted_credits"], None)
    ]


async def test_amounts_under_each_others_ids_are_no_equal_entries() -> None:
    ours, theirs = (
        [
            transfer("external:bank", "ann", amount, name=name)
            for name, amount in zip("ab", amounts, strict=True)
        ]
        for amounts in ((10, 20), (20, 10))
    )
    assert (await compared(await books_of(*ours), await books_of(*theirs))).same
    found = await compared(await books_of(*ours), await books_of(*theirs), View.ENTRIES)
    assert found.left != found.right
    assert await both_of(await books_of(*ours)) != await both_of(await books_of(*theirs))
    assert [(each.account, each.what, each.entry) for each in found.differences] == [
        ("ann", ["entries"], 1),
        ("external:bank", ["entries"], 1),
    ]
    assert "entries" not in found.differences[0].as_dict()["left"]


async def test_one_event_left_out_and_an_equal_one_posted_is_no_equal_history() -> None:
    steps = [transfer("external:bank", "ann", 10, name=name) for name in "abc"]
    ours, theirs = await books_of(*steps[:2]), await books_of(steps[0], steps[2])
    found = await compared(ours, theirs, View.ENTRIES)
    assert await both_of(ours) != await both_of(theirs)
    assert [(each.what, each.entry) for each in found.differences] == [(["entries"], 2)] * 2


async def test_entries_in_another_order_are_equal() -> None:
    steps = [transfer("external:bank", "ann", 10, name=name) for name in "ab"]
    ours, theirs = await books_of(*steps), await books_of(*steps[::-1])
    assert (await compared(ours, theirs, View.ENTRIES)).same
    assert await both_of(ours) == await both_of(theirs)


async def test_a_hold_that_differs_is_named() -> None:
    without = [each for each in HISTORY if each.id != event_id("hold")]
    found = await compared(await books_of(*HISTORY), await books_of(*without))
    [difference] = found.differences
    assert (difference.account, difference.what) == ("ann", ["held"])
    assert difference.left_hold is not None
    assert difference.left_hold.event_id == event_id("hold")


async def test_a_long_account_is_compared_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_books, "PAGE_LINES", 2)
    steps = [transfer("external:bank", "ann", 1, name=number) for number in range(9)]
    found = await compared(await books_of(*steps), await books_of(*steps[:7], *steps[8:]))
    assert [each.entry for each in found.differences] == [8, 8]


async def test_of_many_differences_the_first_are_shown_and_all_are_counted() -> None:
    many = [transfer("external:bank", f"a{number}", 1, name=number) for number in range(9)]
    found = await compared(await books_of(*many), await books_of(), shown=3)
    assert (found.count, len(found.differences)) == (10, 3)
