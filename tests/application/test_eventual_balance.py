"""The eventual balance: the newest entry that the stream has seen, or the database's."""

import pytest

from ledger.application.eventual_balance import EventualBalance, ReadEventualBalance
from ledger.application.reading import BalanceView
from ledger.application.stream_reading import Cause
from tests.application.histories import BEGIN_S, OF, FakeBooks, FakeStream, history, moment
from tests.builders import HandClock
from tests.fakes import RememberedSignals

LIFE = history([(0, 5), (10, 5), (60, -3)])
BOOKS = BalanceView(OF.account, OF.asset, "credit", 3, 10, 2, 3, moment(BEGIN_S + 70))
NOW_S = BEGIN_S + 100


async def read(stream: FakeStream, books: FakeBooks) -> EventualBalance | None:
    reading = ReadEventualBalance(stream, books, HandClock(moment(NOW_S)), RememberedSignals())
    return await reading(1, OF)


async def test_it_is_the_newest_entry_that_the_stream_has_seen() -> None:
    stream = FakeStream([LIFE[1], LIFE[0]], fresh_at_us=(NOW_S - 1) * 1_000_000)
    expected = BalanceView(OF.account, OF.asset, "credit", 0, 10, None, 2, moment(BEGIN_S + 10))
    assert await read(stream, FakeBooks(None)) == EventualBalance(expected, "stream", 1000)


@pytest.mark.parametrize("away", [None, Cause.TOO_SLOW])
async def test_what_the_stream_cannot_tell_the_database_does(away: Cause | None) -> None:
    stream = FakeStream([])
    stream.away = away
    found = await read(stream, FakeBooks(None, {OF.account: BOOKS}))
    assert found == EventualBalance(BOOKS, "database", 0)


async def test_an_account_that_nobody_knows_is_none() -> None:
    assert await read(FakeStream([]), FakeBooks(None)) is None


async def test_an_age_is_never_negative() -> None:
    stream = FakeStream(LIFE, fresh_at_us=(NOW_S + 5) * 1_000_000)
    found = await read(stream, FakeBooks(None))
    assert found is not None
    assert found.age_ms == 0
