"""The order of a replay: as decided, whatever partition a record is in, and never against its partition."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier
from streams.replay.pace import POINTS_MAX, Curve, Pace
from streams.replay.plan import (
    Fate,
    Filters,
    Judged,
    Known,
    Merge,
    Placed,
    Selection,
    accounts_of,
    place,
    place_of,
)
from streams.replay.read import stretches
from tests.builders import NOW, event, event_id, transfer


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def sent(name: object, offset: int, partition: int = 0, amount: int = 1) -> Event:
    return transfer("external:bank", "ann", amount, name=name, at=(partition, offset))


def earlier(of: Event, seconds: float) -> Earlier:
    return Earlier(of.fingerprint, "posted", at(seconds), of.topic, of.partition, of.offset)


def placed(
    events: Sequence[Event],
    precedents: dict[EventKey, Earlier] | None = None,
    *,
    partition: int = 0,
    known: Known | None = None,
    taken: float = 0,
) -> list[Placed]:
    page = [Judged(each.offset or 0, at(taken), each) for each in events]
    return place(partition, page, known or Known(precedents=precedents or {}), at(-1000))


def merged(lanes: dict[int, list[list[Placed]]]) -> list[Placed]:
    """Merge pages, a page at a time."""
    merge, pages, found = Merge(list(lanes)), {at: list(given) for at, given in lanes.items()}, []
    while not merge.at_end:
        for partition in merge.lacking:
            if pages[partition]:
                merge.offer(partition, pages[partition].pop(0))
            else:
                merge.end(partition)
        found += list(merge.take())
    return found


def test_records_stand_at_the_time_of_their_decision() -> None:
    one, two, three = sent("1", 0), sent("2", 1), sent("3", 0, partition=1)
    known = {
        one.identity: earlier(one, 10),
        two.identity: earlier(two, 30),
        three.identity: earlier(three, 20),
    }
    lanes = {0: [placed([one, two], known)], 1: [placed([three], known, partition=1)]}
    assert [each.event for each in merged(lanes)] == [one, three, two]


def test_no_record_goes_before_what_stands_before_it_in_its_partition() -> None:
    one, two = sent("1", 0), sent("2", 1)
    found = placed([one, two], {one.identity: earlier(one, 10), two.identity: earlier(two, 5)})
    assert [each.at for each in found] == [at(10), at(10)]


def test_what_was_never_decided_stands_where_the_log_took_it() -> None:
    one, two = sent("1", 0), sent("2", 0, partition=1)
    lanes = {0: [placed([one], taken=50)], 1: [placed([two], {two.identity: earlier(two, 40)}, partition=1)]}
    assert [each.event for each in merged(lanes)] == [two, one]


def test_what_is_decided_now_stands_behind_what_was_decided() -> None:
    one, two, three = sent("1", 0), sent("2", 0, partition=1), sent("3", 1)
    there = {three.identity: earlier(three, 30)}
    # What the books have may have been posted by this very replay before it was stopped.
    precedents = {two.identity: earlier(two, 40)}
    known = Known(there=there, precedents=precedents, own_since=at(-1000), undecided_at=at(100))
    lanes = {
        0: [placed([one], known=known, taken=10)],
        1: [placed([two], known=known, partition=1, taken=10)],
    }
    assert [each.event for each in merged(lanes)] == [two, one]
    assert [each.at for each in placed([three], known=known, taken=20)] == [at(20)]


def test_of_two_records_with_one_id_the_one_that_was_decided_comes_first() -> None:
    first = sent("twice", 5, partition=1)
    repeat = sent("twice", 0, partition=0)
    known = {first.identity: earlier(first, 10)}
    lanes = {0: [placed([repeat], known)], 1: [placed([first], known, partition=1)]}
    assert [each.event for each in merged(lanes)] == [first, repeat]


def test_an_id_with_other_content_than_was_decided_is_not_posted() -> None:
    first, other = sent("reused", 0), sent("reused", 1, amount=2)
    known = {first.identity: earlier(first, 10)}
    assert [each.fate for each in placed([first, other], known)] == [Fate.POST, Fate.REUSED]


def test_what_books_have_lost_is_posted_though_their_id_is_said_to_stand_for_other_content() -> None:
    first, other = sent("reused", 0, partition=1), sent("reused", 0, amount=2)
    known = Known(there={}, precedents={first.identity: Earlier(first.fingerprint, "posted", at(10))})
    lanes = {
        0: [placed([other], known=known, taken=5)],
        1: [placed([first], known=known, partition=1, taken=5)],
    }
    found = merged(lanes)
    assert [(each.event, each.fate) for each in found] == [(first, Fate.POST), (other, Fate.POST)]
    assert [each.precedent is None for each in found] == [False, True]


def test_what_the_books_have_is_known() -> None:
    one, other = sent("1", 0), sent("1", 1, amount=2)
    known = Known(there={one.identity: earlier(one, 10)})
    assert [each.fate for each in placed([one, other], known=known)] == [Fate.KNOWN, Fate.REUSED]


def test_what_a_replay_may_have_posted_itself_is_posted_again() -> None:
    before, own = sent("1", 0), sent("2", 1)
    there = {before.identity: earlier(before, 10), own.identity: earlier(own, 30)}
    found = placed([before, own], known=Known(there=there, own_since=at(20)))
    assert [each.fate for each in found] == [Fate.KNOWN, Fate.POST]


def test_a_letter_that_may_have_been_posted_and_not_published_is_posted_again() -> None:
    own, elsewhere = sent("1", 0), sent("2", 1)
    there = {own.identity: earlier(own, 10), elsewhere.identity: earlier(sent("2", 7), 10)}
    found = placed([own, elsewhere], known=Known(there=there, own_records=True))
    assert [each.fate for each in found] == [Fate.POST, Fate.KNOWN]


def test_what_was_a_dead_letter_is_passed_by_unless_the_books_have_it() -> None:
    letter, requeued, other = (
        msgspec.structs.replace(sent(str(offset), offset), topic="payments") for offset in range(3)
    )
    places = {place_of(letter), place_of(requeued)}
    known = Known(
        there={requeued.identity: earlier(sent("1", 9), 10)}, letters=[each for each in places if each]
    )
    found = placed([letter, requeued, other], known=known)
    assert [each.fate for each in found] == [Fate.WAS_LETTER, Fate.KNOWN, Fate.POST]


def test_a_partition_that_lacks_records_holds_back_all_others() -> None:
    merge = Merge([0, 1])
    merge.offer(0, placed([sent("1", 0)]))
    assert list(merge.take()) == []
    assert merge.lacking == [1]


@given(st.integers(1, 5), st.integers(0, 60), st.integers(0, 2**32))
def test_a_merge_keeps_everything_in_the_order_of_its_places(partitions: int, count: int, seed: int) -> None:
    chance = Random(seed)
    lanes: dict[int, list[list[Placed]]] = {partition: [] for partition in range(partitions)}
    reached = dict.fromkeys(lanes, (at(0), 0))
    for _ in range(count):
        partition = chance.randrange(partitions)
        time, offset = reached[partition]
        time += timedelta(seconds=chance.randrange(3))
        reached[partition] = (time, offset + 1)
        record = Placed(time, partition, offset, Fate.POST)
        if not lanes[partition] or chance.random() < 0.4:
            lanes[partition].append([])
        lanes[partition][-1].append(record)
    expected = sorted(
        (each for pages in lanes.values() for page in pages for each in page), key=lambda e: e.place
    )
    assert merged(lanes) == expected


HOLD = event("hold.place.v1", {"debit": "ann", "credit": "bob", "amount": 1, "asset": "USD/2"}, name="hold")
CAPTURE = event("hold.capture.v1", {"hold": event_id("hold")}, name="capture")
OTHER = event("hold.capture.v1", {"hold": event_id("other")}, name="other capture")


@pytest.mark.parametrize(
    ("filters", "taken"),
    [
        (Filters(), [True, True, True]),
        (Filters(tenants=["acme"]), [True, True, True]),
        (Filters(tenants=["globex"]), [False, False, False]),
        (Filters(types=["hold.capture.v1"]), [False, True, True]),
        (Filters(ids=[CAPTURE.id]), [False, True, False]),
        (Filters(accounts=["bob"]), [True, True, False]),
        (Filters(accounts=["eve"]), [False, False, False]),
    ],
)
def test_filters_take_what_is_meant_and_what_follows_on_it(filters: Filters, taken: list[bool]) -> None:
    selection = Selection(filters)
    assert [selection.take(each) for each in (HOLD, CAPTURE, OTHER)] == taken


def test_a_transaction_names_the_accounts_of_its_entries() -> None:
    entries = [{"account": code, "asset": "USD/2", "amount": n} for code, n in (("a", 1), ("b", -1))]
    assert accounts_of(event("transaction.post.v1", {"entries": entries}).command) == {"a", "b"}


BOUNDS = {0: (10, 100), 1: (0, 50)}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {0: (10, 100), 1: (0, 50)}),
        ({"partitions": [1]}, {1: (0, 50)}),
        ({"given": {0: (0, 30)}}, {0: (10, 30)}),
        ({"given": {0: (40, 2**63 - 1)}}, {0: (40, 100)}),
        ({"since": {0: 20, 1: 50}}, {0: (20, 100), 1: (50, 50)}),
        ({"until": {0: 20, 1: 5}}, {0: (10, 20), 1: (0, 5)}),
        ({"since": {0: 90, 1: 9}, "until": {0: 20, 1: 5}}, {0: (90, 90), 1: (9, 9)}),
    ],
)
def test_what_is_asked_for_is_cut_out_of_what_the_log_holds(
    asked: dict[str, dict[int, int]], found: dict[int, tuple[int, int]]
) -> None:
    assert stretches(BOUNDS, **asked) == found  # type: ignore[arg-type]


def test_a_pace_waits_for_what_was_too_fast() -> None:
    pace = Pace(100, started_s=5.0)
    assert (pace.wait_s(200, 6.0), pace.wait_s(200, 8.0)) == (1.0, 0.0)
    assert Pace(0, 0.0).wait_s(10**9, 0.0) == 0.0


def test_a_curve_is_bounded_and_keeps_its_ends() -> None:
    curve = Curve()
    for second in range(10_000):
        curve.add(second, second * 7)
    curve.end(10_000, 70_000)
    assert len(curve.points) <= POINTS_MAX + 1
    assert (curve.points[0], curve.points[-1]) == ((0.0, 0), (10_000, 70_000))


def test_a_batch_of_a_slow_replay_is_small() -> None:
    assert [Pace(rate, 0.0).at_once(2000) for rate in (0, 5, 400, 1_000_000)] == [2000, 1, 40, 2000]
