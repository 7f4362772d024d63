"""The hub of outcomes: each notice reaches those who asked for it, and only its own tenant's."""

import asyncio
from contextlib import ExitStack

import pytest

from ledger.adapters.kafka.feed import read_notice
from ledger.application.outcome_feed import Awaited, Notice, OutcomeFeed, Touched, outcome_of
from ledger.contract.outgoing import outcome_message
from ledger.domain.outcome import HoldView, Outcome
from ledger.domain.transaction import Entry
from tests.builders import NOW, USD, event, event_id, fetched

ID = event_id("e")
MINE, OTHER = b"m" * 16, b"o" * 16


def notice(
    tenant: str = "acme", fingerprint: bytes | None = MINE, touched: tuple[Touched, ...] = ()
) -> Notice:
    return Notice(tenant, ID, "posted", fingerprint, NOW, touched, b"{}")


@pytest.mark.parametrize(
    ("heard", "reaches"),
    [
        (notice(), True),
        (notice(fingerprint=None), False),
        (notice(fingerprint=OTHER), False),
        (notice(tenant="globex"), False),
    ],
    ids=["its own", "of a worker that tells no content", "of another content", "of another tenant"],
)
async def test_a_waiter_hears_of_its_own_event_only(heard: Notice, reaches: bool) -> None:
    feed = OutcomeFeed()
    with feed.awaiting([Awaited("acme", ID, MINE)]) as [future]:
        feed.hear(heard)
        assert future.done() == reaches


async def test_no_tenant_takes_the_places_of_others() -> None:
    feed, mine, others = (
        OutcomeFeed(waiters_max=4),
        [Awaited("acme", ID, MINE)],
        [Awaited("globex", ID, MINE)],
    )
    with feed.awaiting(mine) as taken, feed.awaiting(mine) as none, feed.awaiting(others) as given:
        assert [len(each) for each in (taken, none, given)] == [1, 0, 1]


async def test_nobody_is_kept_after_waiting() -> None:
    feed = OutcomeFeed(waiters_max=8)
    for _ in range(3):
        with feed.awaiting([Awaited("acme", ID, MINE), Awaited("acme", ID, OTHER)]) as futures:
            assert (len(futures), feed.waiting) == (2, 2)
    assert (feed.waiting, dict(feed._waiters)) == (0, {})


async def test_who_comes_when_too_many_wait_is_not_kept() -> None:
    feed = OutcomeFeed(waiters_max=4)
    with ExitStack() as waits:
        waiting = [
            len(waits.enter_context(feed.awaiting([Awaited(tenant, ID, MINE)])))
            for tenant in ("acme", "globex", "initech", "hooli", "umbrella")
        ]
    assert waiting == [1, 1, 1, 1, 0]


async def test_two_who_wait_for_one_event_both_hear() -> None:
    feed = OutcomeFeed()
    awaited = [Awaited("acme", ID, MINE)]
    with feed.awaiting(awaited) as [first], feed.awaiting(awaited) as [second]:
        feed.hear(notice())
        assert list(await asyncio.gather(first, second)) == [notice(), notice()]


def test_listeners_hear_of_their_account_and_of_gaps() -> None:
    feed, calls = OutcomeFeed(), list[str]()
    touched = (Touched("ann", USD, 1), Touched("ann", USD, 2), Touched("bob", USD, 1))
    with feed.listening("acme", "ann", lambda: calls.append("ann")):
        feed.hear(notice(touched=touched))
        feed.hear(notice("globex", touched=touched))
        feed.hear(notice(touched=touched[2:]))
        assert calls == ["ann"]
        feed.missed()
    feed.hear(notice(touched=touched))
    assert (calls, dict(feed._listeners)) == (["ann", "ann"], {})


def test_an_outcome_is_read_as_it_was_written() -> None:
    posted = event(key=None)
    entries = (Entry("external:bank", USD, -1000, 3, -1000, 1000, 0, "credit"),)
    found = read_notice(fetched(outcome_message(Outcome(posted, "posted", NOW, posted.id, entries, NOW))))
    assert found is not None
    assert (found.tenant, found.event_id, found.fingerprint) == ("acme", posted.id, posted.fingerprint)
    assert list(found.touched) == [Touched("external:bank", USD, 3)]
    told = outcome_of(found)
    assert (told["status"], told["event_id"], told["entries"][0]["version"]) == ("posted", posted.id, 3)


@pytest.mark.parametrize(
    ("key", "touched"),
    [
        (b"acme/ann", [Touched("ann", None, None)]),
        (b"globex/ann", []),
        (b"\xff", []),
        (None, []),
    ],
)
def test_a_hold_touches_the_account_that_its_key_names(key: bytes | None, touched: list[Touched]) -> None:
    placed = event("hold.place.v1", {"debit": "ann", "credit": "bob", "amount": 5, "asset": USD})
    hold = HoldView(placed.id, "open", 5, 0, 0, 5)
    record = fetched(outcome_message(Outcome(placed, "posted", NOW, hold=hold)))
    record.key = key
    found = read_notice(record)
    assert found is not None
    assert list(found.touched) == touched


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b'{"id": 1}', b"\xff"])
def test_what_is_no_outcome_is_passed_by(value: bytes | None) -> None:
    record = fetched(outcome_message(Outcome(event(), "posted", NOW)))
    record.value = value
    assert read_notice(record) is None
