"""Digests of books: equal for equal standings, and different for any that differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.domain.digest import Standing, UnorderedError, digest_books

ANN = Standing("acme", "ann", "USD/2", 10, 30, 5, 4)
BOB = Standing("acme", "bob", "USD/2", 0, 20, 0, 1)
EVE = Standing("globex", "ann", "USD/2", 0, 20, 0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "acmf"},
        {"account": "anna"},
        {"asset": "USD/3"},
        {"posted_debits": 11},
        {"posted_credits": 31},
        {"held": 6},
        {"version": 5},
        {"entries": 9},
    ],
)
def test_every_part_of_a_standing_counts(change: dict[str, object]) -> None:
    assert digest_books([replace(ANN, **change)]).overall != digest_books([ANN]).overall


def test_parts_do_not_run_into_each_other() -> None:
    one = Standing("a", "b1", "X/0", 1, 11, 1, 1)
    other = Standing("a", "b1", "X/0", 11, 1, 1, 1)
    assert digest_books([one]).overall != digest_books([other]).overall


def test_a_standing_at_nothing_counts_as_none() -> None:
    blank = Standing("acme", "abe", "USD/2", 0, 0, 0, 0)
    assert digest_books([blank, ANN, BOB]) == digest_books([ANN, BOB])


def test_a_tenant_has_the_digest_of_its_own_standings() -> None:
    assert digest_books([ANN, BOB, EVE]).tenants == {
        "acme": digest_books([ANN, BOB]).overall,
        "globex": digest_books([EVE]).overall,
    }


def test_standings_out_of_order_are_a_fault() -> None:
    with pytest.raises(UnorderedError):
        digest_books([BOB, ANN])


def test_a_standing_that_comes_twice_is_a_fault() -> None:
    with pytest.raises(UnorderedError):
        digest_books([ANN, ANN])


_standings = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["x", "x:y", "z"]), st.just("USD/2")),
    st.tuples(*[st.integers(0, 2**63 - 1)] * 4),
)


@given(_standings, _standings)
def test_books_have_one_digest_exactly_where_they_are_equal(
    ours: dict[tuple[str, str, str], tuple[int, int, int, int]],
    theirs: dict[tuple[str, str, str], tuple[int, int, int, int]],
) -> None:
    left, right = (
        [Standing(*key, *totals) for key, totals in sorted(each.items()) if any(totals)]
        for each in (ours, theirs)
    )
    assert (digest_books(left).overall == digest_books(right).overall) == (left == right)
