"""Windows from the stream and the database together: always those of one moment, whatever the stream has."""

from collections.abc import Sequence
from random import Random

import pytest

from ledger.application.read_windows import ReadWindows, SourcedWindow, WindowRange
from ledger.application.reading import WindowOf
from ledger.application.stream_reading import Cause
from ledger.domain.window import WindowSize
from tests.application.histories import (
    BEGIN_S,
    OF,
    Entry,
    FakeBooks,
    FakeStream,
    history,
    moment,
    page,
    windows_of,
)
from tests.builders import HandClock
from tests.fakes import RememberedSignals

MINUTE = WindowSize.MINUTE
FOR_EVER = 10**15
LIFE = history([(0, 5), (10, 5), (60, -3), (60, 1), (5, 1), (600, 7)])
"""Six entries in four minutes, the second version 3 and the third 4 and 5."""


class Scene:
    """Books with all entries, a stream that has seen some, and the use case over both."""

    def __init__(self, entries: Sequence[Entry] | None, stream: FakeStream, now_s: int = BEGIN_S) -> None:
        self.books, self.stream = FakeBooks(entries), stream
        self.signals = RememberedSignals()
        self.read_windows = ReadWindows(
            stream, self.books, HandClock(moment(now_s)), self.signals, closed_after_s=60
        )

    async def read(
        self, first: int = 0, before: int = FOR_EVER, limit: int = 100, size: WindowSize = MINUTE
    ) -> Sequence[SourcedWindow]:
        found = await self.read_windows(1, OF, WindowRange(size, first, before, limit))
        assert found is not None
        return found

    async def sources(self, limit: int = 100) -> list[str]:
        return [each.source for each in await self.read(limit=limit)]

    @property
    def cause(self) -> str:
        return str(self.signals.emitted[-1][1]["cause"])


def plain(found: Sequence[SourcedWindow]) -> list[WindowOf]:
    return [WindowOf(each.start, each.window) for each in found]


async def test_what_the_stream_has_from_the_first_entry_on_needs_no_database() -> None:
    scene = Scene(LIFE, FakeStream(LIFE))
    assert plain(await scene.read()) == windows_of(LIFE, MINUTE)
    assert scene.books.asked == 0


async def test_what_is_older_than_the_stream_keeps_comes_from_the_database() -> None:
    scene = Scene(LIFE, FakeStream(LIFE, kept_from=BEGIN_S + 120))
    assert plain(await scene.read()) == windows_of(LIFE, MINUTE)
    assert await scene.sources() == ["database", "database", "stream", "stream"]


async def test_the_window_in_which_the_stream_began_comes_from_the_database() -> None:
    scene = Scene(LIFE, FakeStream(LIFE[4:]))
    assert plain(await scene.read()) == windows_of(LIFE, MINUTE)
    assert await scene.sources() == ["database", "database", "database", "stream"]


async def test_windows_around_a_missing_version_come_from_the_database() -> None:
    scene = Scene(LIFE, FakeStream([each for each in LIFE if each is not LIFE[3]]))
    assert plain(await scene.read()) == windows_of(LIFE, MINUTE)
    assert await scene.sources() == ["database", "database", "database", "stream"]


async def test_a_stream_that_is_behind_gives_an_earlier_state() -> None:
    scene = Scene(LIFE, FakeStream(LIFE[:3]))
    assert plain(await scene.read()) == windows_of(LIFE[:3], MINUTE)


async def test_a_page_that_the_database_fills_leaves_the_stream_out() -> None:
    scene = Scene(LIFE, FakeStream(LIFE, kept_from=BEGIN_S + 120))
    assert await scene.sources(limit=2) == ["database", "database"]
    assert await scene.sources(limit=3) == ["database", "database", "stream"]


async def test_windows_that_do_not_join_come_from_the_database_alone() -> None:
    stream = FakeStream(LIFE, kept_from=BEGIN_S + 120)
    scene = Scene(LIFE[:1], stream)  # a database that is behind: a replica
    assert plain(await scene.read()) == windows_of(LIFE[:1], MINUTE)
    assert scene.cause == "incomplete"


async def test_every_failure_of_the_stream_is_answered_by_the_database() -> None:
    for cause in Cause:
        scene = Scene(LIFE, FakeStream(LIFE))
        scene.stream.away = cause
        assert plain(await scene.read()) == windows_of(LIFE, MINUTE)
        assert set(await scene.sources()) == {"database"}
        assert scene.cause == cause


async def test_a_balance_that_the_stream_never_heard_of_is_the_databases() -> None:
    scene = Scene(LIFE, FakeStream([]))
    assert set(await scene.sources()) == {"database"}
    assert scene.cause == "unknown"


async def test_there_is_no_such_account() -> None:
    scene = Scene(None, FakeStream([]))
    assert await scene.read_windows(1, OF, WindowRange(MINUTE, 0, FOR_EVER, 5)) is None


async def test_a_window_closes_a_minute_after_its_end_as_its_source_knows_it() -> None:
    end_s = BEGIN_S + 60
    stream = FakeStream(LIFE[:2])
    for known_s, closed in ((end_s, False), (end_s + 59, False), (end_s + 60, True)):
        stream.fresh_at_us = known_s * 1_000_000
        assert [each.closed for each in await Scene(LIFE, stream, now_s=end_s + 3600).read()] == [closed]
        books = Scene(LIFE[:2], FakeStream([]), now_s=known_s)
        assert [each.closed for each in await books.read()] == [closed]


async def test_a_clock_that_is_ahead_closes_nothing() -> None:
    stream = FakeStream(LIFE[:2], fresh_at_us=(BEGIN_S + 3600) * 1_000_000)
    assert [each.closed for each in await Scene(LIFE, stream, now_s=BEGIN_S + 70).read()] == [False]


async def test_what_comes_from_the_stream_says_its_age() -> None:
    stream = FakeStream(LIFE, fresh_at_us=(BEGIN_S - 3) * 1_000_000)
    assert {each.age_ms for each in await Scene(LIFE, stream).read()} == {3000}


@pytest.mark.parametrize("seed", range(8))
async def test_an_answer_is_the_state_at_one_moment(seed: int) -> None:
    chance = Random(seed)
    for _ in range(150):
        entries = random_history(chance)
        size = chance.choice([MINUTE, WindowSize.HOUR])
        scene = Scene(entries, FakeStream(*random_knowledge(chance, entries)))
        first = BEGIN_S + chance.randint(-60, 400)
        before, limit = first + chance.choice([60, 200, 600, 5000]), chance.randint(1, 6)
        found = plain(await scene.read(first, before, limit, size))
        states = [
            page(windows_of(entries[:count], size), first, before, limit) for count in range(len(entries) + 1)
        ]
        # Nor is it a moment before the last that the stream has seen.
        assert found in states[max((each.window.last_version for each in scene.stream.seen), default=0) :]


def random_history(chance: Random) -> list[Entry]:
    pauses_s = [0, 1, 20, 30, 59, 60, 61, chance.choice([1, 600, 3600])]
    return history(
        (chance.choice(pauses_s), chance.choice([-5, -1, 1, 2, 9])) for _ in range(chance.randint(1, 14))
    )


def random_knowledge(chance: Random, entries: Sequence[Entry]) -> tuple[list[Entry], int]:
    """Choose what a stream has seen, which may begin late, lag and miss some; and from when on it keeps windows."""
    count = len(entries)
    began = chance.choice([0, 0, chance.randrange(count)])
    reached = chance.choice([count, count, chance.randrange(count + 1)])
    missed = chance.sample(range(count), chance.choice([0, 0, min(2, count)]))
    seen = [each for index, each in enumerate(entries[began:reached], start=began) if index not in missed]
    chance.shuffle(seen)
    return seen, chance.choice([0, BEGIN_S + 60 * chance.randint(-1, 8)])
