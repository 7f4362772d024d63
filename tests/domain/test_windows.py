"""Windows are a lattice: entries in any order, any number of times, in any pieces, come to the same."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.aging import Retention, Standing
from ledger.domain.life import HOLES_MAX, Life, is_complete, join, life_of, live_on
from ledger.domain.window import Window, WindowSize, merge, merged, start_of
from tests.window_history import (
    BEGIN_S,
    DAY_S,
    Entry,
    histories,
    history,
    naive_holes,
    naive_window,
    naive_windows,
)

MINUTE, HOUR, DAY = WindowSize.MINUTE, WindowSize.HOUR, WindowSize.DAY


def life_from(entries: list[Entry]) -> Life:
    return reduce(join, (life_of(entry.window) for entry in entries))


def pick(data: st.DataObject, entries: list[Entry]) -> list[Entry]:
    """Pick some entries, in any order, any of them more than once."""
    return data.draw(st.lists(st.sampled_from(entries), min_size=1))


some = st.data()


@given(histories, some)
def test_any_order_and_any_repetition_give_the_same_window(entries: list[Entry], data: st.DataObject) -> None:
    repeated = entries + data.draw(st.lists(st.sampled_from(entries)))
    shuffled = data.draw(st.permutations(repeated))
    assert merged(entry.window for entry in shuffled) == naive_window(entries)


@given(histories, some)
def test_merging_is_associative_commutative_and_idempotent(entries: list[Entry], data: st.DataObject) -> None:
    a, b, c = (reduce(merge, (entry.window for entry in pick(data, entries))) for _ in range(3))
    assert merge(a, merge(b, c)) == merge(merge(a, b), c)
    assert merge(a, b) == merge(b, a)
    assert merge(a, a) is a


@given(histories)
def test_larger_windows_are_merges_of_smaller_ones(entries: list[Entry]) -> None:
    for smaller, larger in ((MINUTE, HOUR), (HOUR, DAY)):
        grown: dict[int, Window] = {}
        for start, window in naive_windows(entries, smaller).items():
            into = start_of(larger, start * 1_000_000)
            grown[into] = merge(grown[into], window) if into in grown else window
        assert grown == naive_windows(entries, larger)


@given(histories, some)
def test_lives_know_what_they_did_not_see(entries: list[Entry], data: st.DataObject) -> None:
    seen = pick(data, entries)
    life = life_from(seen)
    assert life == life_of(naive_window(seen), naive_holes(entry.version for entry in seen))  # type: ignore[arg-type]
    assert life.missing == life.entries - len({entry.version for entry in seen})


@given(histories, some)
def test_joining_lives_is_associative_commutative_and_idempotent(
    entries: list[Entry], data: st.DataObject
) -> None:
    a, b, c = (life_from(pick(data, entries)) for _ in range(3))
    assert join(a, join(b, c)) == join(join(a, b), c)
    assert join(a, b) == join(b, a)
    assert join(a, a) is a


@given(histories, some)
def test_a_window_called_complete_has_every_entry_up_to_the_newest_seen(
    entries: list[Entry], data: st.DataObject
) -> None:
    seen = pick(data, entries)
    life = life_from(seen)
    known = [entry for entry in entries if entry.version <= life.last_version]
    truth = naive_windows(known, MINUTE)
    for start, window in naive_windows(seen, MINUTE).items():
        if is_complete(window, life):
            assert window == truth[start]


@given(histories, some)
def test_living_on_is_joining_an_entry(entries: list[Entry], data: st.DataObject) -> None:
    life, entry = life_from(pick(data, entries)), data.draw(st.sampled_from(entries)).window
    assert live_on(life, entry) == join(life, life_of(entry))


def test_windows_of_a_whole_life_are_all_complete() -> None:
    entries = history("acme/ann USD/2", [(5, 30)] * 20)
    life = life_from(entries)
    assert all(is_complete(window, life) for window in naive_windows(entries, MINUTE).values())


def test_a_life_with_too_many_holes_counts_more_as_missing_and_never_less() -> None:
    entries = history("acme/ann USD/2", [(1, 1)] * (2 * HOLES_MAX + 21))[::2]
    life = life_from(entries)
    assert len(life.holes) == HOLES_MAX
    assert {version for first, last in life.holes for version in range(first, last + 1)} >= {
        version
        for first, last in naive_holes(e.version for e in entries)
        for version in range(first, last + 1)
    }


def test_figures_of_a_window_are_those_of_its_entries() -> None:
    window = naive_window(history("acme/ann USD/2", [(100, 0), (-30, 1), (50, 1)])[1:])
    assert window is not None
    assert (window.opening, window.closing, window.low, window.high) == (100, 120, 70, 120)
    assert (window.debits, window.credits, window.entries) == (30, 50, 2)


# Aging

KEPT = Retention(minutes_s=3600, hours_s=3 * DAY_S, days_s=90 * DAY_S)


@pytest.mark.parametrize(
    ("ago_s", "size"),
    [(0, MINUTE), (3600, MINUTE), (3661, HOUR), (3 * DAY_S, HOUR), (4 * DAY_S, DAY), (90 * DAY_S, DAY)],
)
def test_an_entry_goes_into_the_smallest_window_that_stands(ago_s: int, size: WindowSize) -> None:
    now_us = BEGIN_S * 1_000_000
    moment_us = now_us - ago_s * 1_000_000
    assert KEPT.standing(now_us).place(moment_us) == (size, start_of(size, moment_us))


def test_what_is_older_than_all_has_no_window() -> None:
    now_us = BEGIN_S * 1_000_000
    assert KEPT.standing(now_us).place(now_us - 92 * DAY_S * 1_000_000) is None


def test_what_has_gone_does_not_come_back_when_time_does() -> None:
    later = KEPT.standing((BEGIN_S + DAY_S) * 1_000_000)
    assert later.moved_on(KEPT.standing(BEGIN_S * 1_000_000)) == later
    assert Standing().moved_on(later) == later


def test_minutes_kept_longer_than_hours_go_straight_into_days() -> None:
    kept = Retention(minutes_s=5 * DAY_S, hours_s=DAY_S, days_s=90 * DAY_S)
    standing = kept.standing(BEGIN_S * 1_000_000)
    gone = BEGIN_S - 6 * DAY_S
    assert standing.place_of_aged(MINUTE, gone) == (DAY, start_of(DAY, gone * 1_000_000))
