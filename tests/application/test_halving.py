"""A batch that the books cannot do in time is done in pieces, with the same outcomes and position."""

from datetime import UTC, datetime

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.faults import TooSlowError
from ledger.application.ports import Position
from ledger.application.post_events import TRIES_WHOLE, Batch, PostEvents, halves
from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from ledger.contract.decode import decode_event
from ledger.domain.books import Rules
from ledger.domain.commands import Event
from tests.application.test_expire_holds import HandClock
from tests.end_to_end.books import transfer
from tests.fakes import FailingStore, RememberedSignals


def an_event(offset: int) -> Event:
    return decode_event(transfer("external:bank", f"customer:{offset}", 5), partition=0, offset=offset)


def a_letter(offset: int) -> DeadLetter:
    record = Record("payments", 0, offset, None, b"x")
    return DeadLetter(record, DeadLetterReason.MALFORMED_JSON, "why", datetime.now(UTC))


BATCH = Batch(
    [an_event(0), an_event(2), an_event(4)], [a_letter(1), a_letter(3)], Position("payments", 0, 0, 6)
)


def test_halves_join_and_keep_letters_in_their_place() -> None:
    first, second = halves(BATCH)
    assert (first.position, second.position) == (Position("payments", 0, 0, 2), Position("payments", 0, 2, 6))
    assert [len(half.letters) for half in (first, second)] == [1, 1]


async def test_slow_batch_is_posted_in_pieces() -> None:
    books, signals = MemoryBooks(), RememberedSignals()
    store = FailingStore(books, ["write"] * TRIES_WHOLE, TooSlowError)
    clock = HandClock()
    clock.time = datetime.now(UTC)
    outcomes = await PostEvents(store, clock, Rules(), signals, backoff_max_s=0.001)(BATCH)
    assert [outcome.kind for outcome in outcomes] == ["posted"] * 3
    assert books.contents.positions == {("payments", 0): 6}
    assert len(books.contents.dead_letters) == 2


async def test_one_slow_event_is_waited_for() -> None:
    books, signals = MemoryBooks(), RememberedSignals()
    store = FailingStore(books, ["write"] * (TRIES_WHOLE + 2), TooSlowError)
    clock = HandClock()
    clock.time = datetime.now(UTC)
    post = PostEvents(store, clock, Rules(), signals, backoff_max_s=0.001)
    [outcome] = await post(Batch([an_event(0)], position=Position("payments", 0, 0, 1)))
    assert outcome.kind == "posted"
