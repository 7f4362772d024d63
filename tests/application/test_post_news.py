"""A batch of news is decided while its ids are claimed; where some are known after all, nothing else comes of it."""

from collections.abc import Sequence
from random import Random

import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.post_events import Batch, DecideNow, PostEvents
from ledger.domain.books import Rules
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from tests.application.office import deposit, digest
from tests.builders import HandClock, transfer
from tests.fakes import RememberedSignals
from tests.random_events import random_stream


class Judge(DecideNow):
    """Remembers what it was told is void."""

    def __init__(self) -> None:
        self.void: list[Event] = []

    def undone(self, events: Sequence[Event]) -> None:
        self.void += events


class Poster:
    def __init__(self, *, news: bool) -> None:
        self.books, self.judge = MemoryBooks(), Judge()
        self._news = news
        self._post = PostEvents(self.books, HandClock(), Rules(), RememberedSignals(), judge=self.judge)

    async def post(self, events: Sequence[Event]) -> list[Outcome]:
        return await self._post(Batch(events, news=self._news))


@pytest.mark.parametrize("seed", range(6))
async def test_news_or_not_the_same_comes_of_it(seed: int) -> None:
    events = random_stream(Random(seed), 120)
    ours, theirs = Poster(news=True), Poster(news=False)
    for begin in range(0, len(events), 7):
        batch = events[begin : begin + 7]
        assert await ours.post(batch) == await theirs.post(batch)
    assert digest(ours.books.contents) == digest(theirs.books.contents)
    assert ours.judge.void
    assert not theirs.judge.void


async def test_what_is_new_is_decided_once() -> None:
    poster = Poster(news=True)
    outcomes = await poster.post([deposit(), deposit(), transfer("ann", "shop", 1, name="pay")])
    assert [each.kind for each in outcomes] == ["posted", "duplicate", "posted"]
    assert poster.judge.void == []


async def test_what_was_decided_beside_a_known_id_is_void() -> None:
    poster = Poster(news=True)
    await poster.post([deposit()])
    batch = [transfer("ann", "shop", 600, name="pay"), deposit()]
    assert [each.kind for each in await poster.post(batch)] == ["posted", "duplicate"]
    assert poster.judge.void == batch
    assert poster.books.contents.balances["acme", "ann", "USD/2"].balance == 400
