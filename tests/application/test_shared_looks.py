"""Looks that many share: one at a time, and rare where they cost much."""

import asyncio

import pytest

from ledger.application.shared_looks import SharedLooks


class Books:
    """Books that are looked at, each time for so long."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.now = 100.0
        self.takes_s = takes_s
        self.looks = 0
        self.is_away = False
        self.shared: SharedLooks[int] = SharedLooks(lambda: self.now, lambda seen: not self.is_away)

    async def look(self) -> int:
        self.looks += 1
        self.now += self.takes_s
        await asyncio.sleep(0)
        return self.looks

    async def seen(self, name: str = "all") -> int:
        return await self.shared.of(name, self.look)


async def test_those_who_ask_meanwhile_share_one_look() -> None:
    books = Books()
    assert await asyncio.gather(*(books.seen() for _ in range(20))) == [1] * 20
    books.now += 1
    assert await books.seen() == 2


async def test_each_name_has_a_look_of_its_own_and_old_ones_are_forgotten() -> None:
    books = Books()
    assert [await books.seen("acme"), await books.seen("rival"), await books.seen("acme")] == [1, 2, 1]
    books.now += 10
    await books.seen("acme")
    assert list(books.shared._looks) == ["acme"]


@pytest.mark.parametrize(
    ("takes_s", "later_s", "looks"), [(1, 19, 1), (1, 20, 2), (2, 29, 1), (2, 30, 2), (60, 30, 2)]
)
async def test_what_took_long_is_looked_at_rarely_and_every_half_a_minute_at_least(
    takes_s: float, later_s: float, looks: int
) -> None:
    books = Books(takes_s=takes_s)
    await books.seen()
    books.now += later_s
    await books.seen()
    assert books.looks == looks


async def test_a_look_that_failed_is_soon_made_again_however_long_it_took() -> None:
    books = Books(takes_s=5)
    books.is_away = True
    assert [await books.seen(), await books.seen()] == [1, 1]
    books.now += 1
    assert await books.seen() == 2


async def test_who_goes_away_takes_the_look_from_nobody() -> None:
    books = Books()
    first, second = asyncio.create_task(books.seen()), asyncio.create_task(books.seen())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 2
