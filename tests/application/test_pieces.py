"""Streams in any pieces, with anything delivered again: the books stay the same."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.commands import Event
from tests.application.office import Office, digest
from tests.random_events import random_stream


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
