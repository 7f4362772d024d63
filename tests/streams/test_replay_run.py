"""A replay in memory: the same digest whatever the pages and batches, stopped anywhere and gone on with."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from time import monotonic
from typing import Any

import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.dead_letters import MemoryDeadLetters
from ledger.adapters.memory.standings import MemoryBooksToRead
from ledger.application.compare_books import View, digest_standings
from ledger.application.dead_letters import Action, Deed, EnsureHeld, Place
from ledger.application.faults import TransientFaultError
from ledger.application.post_events import Batch, PostEvents
from ledger.application.replaying import Reached
from ledger.contract.dead_letter import DeadLetter, DeadLetterReason, Record
from ledger.contract.decode import decode_record
from ledger.domain.books import EventKey, Rules
from ledger.domain.commands import Event
from ledger.domain.digest import BooksDigest
from ledger.domain.outcome import Earlier, Outcome
from ledger.domain.replaying import DecideAgain
from streams.replay.letters import closing_letters, holding_letters
from streams.replay.plan import Filters, Placed, Selection
from streams.replay.read import Decoder
from streams.replay.run import BEGINNING, BelowHorizonError, Replayer, Stage, Told
from tests.builders import NOW, HandClock, body, encoded, event_id
from tests.fakes import RememberedSignals
from tests.random_events import random_command

TOPIC, PARTITIONS, EVENTS = "payments", 3, 250


class KilledError(Exception):
    """The process was killed."""


@dataclass
class ListLane:
    partition: int
    records: Sequence[Record]
    page: int = 7
    placed: bool = True
    first: int = 0

    @property
    def end(self) -> int:
        return len(self.records)

    async def read(self, first: int) -> AsyncGenerator[Sequence[Record], None]:
        for begin in range(first, self.end, self.page):
            yield self.records[begin : begin + self.page]


class Known:
    def __init__(self, books: MemoryBooks) -> None:
        self._books = books

    async def of(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        found = self._books.contents.processed
        return {event.identity: found[event.identity] for event in events if event.identity in found}


class Kept:
    """Checkpoints in memory; kills the replay at the one that is asked for."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.state: dict[int, Reached] = {}
        self.counts: dict[str, int] = {}
        self.saved = 0
        self._dies_at = dies_at

    async def save(
        self, state: Mapping[int, Reached], counts: Mapping[str, int], *, ended: bool = False
    ) -> None:
        self.saved += 1
        if self.saved == self._dies_at:
            raise KilledError
        self.state, self.counts = dict(state), dict(counts)


class EveryBatch(Replayer):
    """Writes down how far it came after each batch."""

    async def _went_on(self, records: int, events: int) -> None:
        self._saved = -1e9
        await super()._went_on(records, events)


def poster(books: MemoryBooks, clock: HandClock, judge: DecideAgain | None = None) -> PostEvents:
    return PostEvents(books, clock, Rules(), RememberedSignals(), judge=judge)


async def lived(seed: int) -> tuple[MemoryBooks, list[ListLane]]:
    """Books that posted random events of several partitions, in batches that come in a random order."""
    chance = Random(seed)
    made: list[tuple[int, str]] = []
    logs: list[list[Record]] = [[] for _ in range(PARTITIONS)]
    for number in range(EVENTS):
        name = chance.randrange(number) if number and chance.random() < 0.1 else number
        kind, data = random_command(chance, made)
        made.append((name, kind))
        log = chance.choice(logs)
        value = encoded(body(kind, data, name=name)) if chance.random() < 0.98 else b"no event"
        log.append(Record(TOPIC, logs.index(log), len(log), None, value, (), 1))
    books, clock = MemoryBooks(), HandClock(NOW)
    post, reached = poster(books, clock), [0] * PARTITIONS
    while any(reached[at] < len(log) for at, log in enumerate(logs)):
        at = chance.choice([at for at, log in enumerate(logs) if reached[at] < len(log)])
        page = logs[at][reached[at] : reached[at] + chance.randint(1, 9)]
        reached[at] += len(page)
        clock.move(0.5)
        await post(Batch([decode_record(each) for each in page if each.value != b"no event"]))
    return books, [ListLane(at, log) for at, log in enumerate(logs)]


async def replayed(
    live: MemoryBooks,
    lanes: Sequence[ListLane],
    into: MemoryBooks,
    *,
    checkpoints: Kept | None = None,
    batch_max: int = 11,
    kind: type[Replayer] = Replayer,
    **more: Any,
) -> Told:
    judge, kept = DecideAgain(), checkpoints or Kept()
    stage = Stage(
        poster(into, HandClock(NOW + timedelta(days=300)), judge),
        precedents=Known(live),
        judge=judge,
        checkpoints=kept,
        in_the_past=True,
    )
    decoder, selection = Decoder(2**18, 2**20), Selection(Filters())
    replayer = kind(
        lanes, stage, decoder, selection, batch_max=batch_max, state=kept.state, counts=kept.counts, **more
    )
    return await replayer.run()


async def digest(books: MemoryBooks) -> BooksDigest:
    async with MemoryBooksToRead(books).snapshot() as standings:
        return await digest_standings(standings, View.ENTRIES)


@pytest.mark.parametrize("seed", range(8))
async def test_a_rebuild_gives_the_same_books(seed: int) -> None:
    live, lanes = await lived(seed)
    into = MemoryBooks()
    told = await replayed(live, lanes, into, batch_max=Random(seed).choice([1, 11, 1000]))
    assert (told.different, told.unseen) == ([], [])
    assert await digest(into) == await digest(live)
    assert into.contents.processed.keys() == live.contents.processed.keys()
    assert len(into.contents.dead_letters) == told.counts.get("dead_letter", 0) > 0


HOLD_OF_ANN = {"debit": "ann", "credit": "shop", "amount": 5, "asset": "USD/2"}
FUND_ANN = {"debit": "external:bank", "credit": "ann", "amount": 5, "asset": "USD/2"}


@pytest.mark.parametrize("page", [1, 100])
async def test_what_follows_on_an_account_is_taken_with_it_from_whatever_partition(page: int) -> None:
    logs: list[list[tuple[str, dict[str, object], object, int]]] = [
        [
            ("transfer.post.v1", FUND_ANN, "fund", 1),
            *[("transfer.post.v1", FUND_ANN, n, 2) for n in range(9)],
        ],
        [("hold.place.v1", HOLD_OF_ANN, "hold", 3), ("hold.void.v1", {"hold": event_id("other")}, "no", 5)],
        [("hold.capture.v1", {"hold": event_id("hold")}, "capture", 4)],
    ]
    lanes = [
        ListLane(
            at,
            [
                Record(TOPIC, at, offset, None, encoded(body(kind, data, name=name)), (), second * 1000)
                for offset, (kind, data, name, second) in enumerate(log)
            ],
            page,
        )
        for at, log in enumerate(reversed(logs))
    ]
    into = MemoryBooks()
    stage = Stage(poster(into, HandClock(NOW)), letters=False)
    selection = Selection(Filters(accounts=["ann"]))
    told = await Replayer(lanes, stage, Decoder(2**18, 2**20), selection, batch_max=3).run()
    assert told.counts == {"posted": 12, "left_out": 1}


@pytest.mark.parametrize("dies_at", [1, 2, 5, 9])
async def test_a_replay_that_died_is_gone_on_with_to_the_same_end(dies_at: int) -> None:
    live, lanes = await lived(20)
    whole = await replayed(live, lanes, MemoryBooks())
    into, kept = MemoryBooks(), Kept(dies_at)
    with pytest.raises(KilledError):
        await replayed(live, lanes, into, checkpoints=kept, kind=EveryBatch)
    told = await replayed(live, lanes, into, checkpoints=kept, kind=EveryBatch)
    assert await digest(into) == await digest(live)
    assert (told.counts, told.reasons) == (whole.counts, whole.reasons)
    assert whole.reasons.keys() >= {"insufficient_funds"}
    assert (told.before + told.records, whole.before) == (whole.records, 0)


async def test_what_a_replay_posted_before_it_was_stopped_does_not_lack_a_decision() -> None:
    live, lanes = await lived(7)
    stage = Stage(
        poster(live, HandClock(NOW)),
        there=Known(live),
        precedents=Known(live),
        own_since=BEGINNING,
        letters=False,
    )
    told = await Replayer(lanes, stage, Decoder(2**18, 2**20), Selection(Filters()), batch_max=10).run()
    assert told.counts["posted"] > 0
    assert "without_precedent" not in told.counts


async def test_without_precedents_the_log_gives_the_order_and_nothing_is_lost() -> None:
    _, lanes = await lived(3)
    told = await replayed(MemoryBooks(), lanes, MemoryBooks())
    assert told.records == sum(len(lane.records) for lane in lanes)


async def test_books_that_have_it_all_are_left_alone() -> None:
    live, lanes = await lived(4)
    before = live.contents
    stage = Stage(poster(live, HandClock(NOW)), there=Known(live), letters=False)
    told = await Replayer(lanes, stage, Decoder(2**18, 2**20), Selection(Filters()), batch_max=10).run()
    assert told.changed_nothing
    assert live.contents is before
    assert told.counts["known"] > 0


async def test_dead_letters_of_the_topic_stay_in_the_hands_of_the_operator() -> None:
    values = [encoded(body(name=name)) for name in range(3)]
    lane = ListLane(0, [Record(TOPIC, 0, at, None, value) for at, value in enumerate(values)])
    asked: list[Event] = []

    async def find(events: Sequence[Event]) -> Sequence[tuple[str, int, int]]:
        asked.extend(events)
        return [(TOPIC, 0, 1)]

    into = MemoryBooks()
    await poster(into, HandClock(NOW))(Batch([decode_record(lane.records[0])]))
    stage = Stage(poster(into, HandClock(NOW)), there=Known(into), find_letters=find, letters=False)
    told = await Replayer([lane], stage, Decoder(2**18, 2**20), Selection(Filters()), batch_max=10).run()
    assert told.counts == {"known": 1, "was_dead_letter": 1, "posted": 1}
    assert [each.offset for each in asked] == [1, 2]


async def test_what_is_no_event_is_told_by_place_and_reason() -> None:
    lane = ListLane(0, [Record(TOPIC, 0, at, None, b"no event") for at in range(2)])
    stage = Stage(poster(MemoryBooks(), HandClock(NOW)), letters=False)
    told = await Replayer([lane], stage, Decoder(2**18, 2**20), Selection(Filters()), batch_max=10).run()
    assert told.not_events.reasons == {"malformed_json": 2}
    assert [each["offset"] for each in told.not_events.shown] == [0, 1]


async def test_letters_that_were_handled_since_they_were_read_are_not_posted() -> None:
    records = [Record(TOPIC, 0, at, None, encoded(body(name=at))) for at in range(3)]
    letters = MemoryDeadLetters(DeadLetter(each, DeadLetterReason.UNKNOWN_TYPE, "x", NOW) for each in records)
    dropped = Action(Deed.DROPPED, "ann", NOW, "paid by hand")
    await letters.record([Place(TOPIC, 0, 1)], dropped)
    into = MemoryBooks()

    async def settle(batch: Sequence[Placed], outcomes: Sequence[Outcome]) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), letters.held():
                pass
        await close(batch, outcomes)

    async def sure() -> None:
        return None

    close = closing_letters(letters, "tests", "a test", sure)
    stage = Stage(
        poster(into, HandClock(NOW)), there=Known(into), hold=holding_letters(letters), settle=settle
    )
    lane = ListLane(0, records)
    told = await Replayer([lane], stage, Decoder(2**18, 2**20), Selection(Filters()), batch_max=10).run()
    assert told.counts == {"posted": 2, "handled": 1}
    stored = await letters.read([Place(TOPIC, 0, 1)])
    assert [each.action for each in stored] == [dropped]
    assert [place.offset for place, _ in letters.actions] == [1, 0, 2]


class LostOnce(MemoryDeadLetters):
    """Letters that are lost the first time that they are held; meanwhile an operator drops one of them."""

    @asynccontextmanager
    async def held(self) -> AsyncIterator[EnsureHeld]:
        async def ensure_held() -> None:
            if not self.actions:
                await self.record([Place(TOPIC, 0, 1)], Action(Deed.DROPPED, "ann", NOW, "paid by hand"))
                raise TransientFaultError("the connection is gone")

        yield ensure_held


async def test_letters_are_looked_at_again_once_they_were_lost() -> None:
    records = [Record(TOPIC, 0, at, None, encoded(body(name=at))) for at in range(3)]
    letters = LostOnce(DeadLetter(each, DeadLetterReason.UNKNOWN_TYPE, "x", NOW) for each in records)
    into = MemoryBooks()
    stage = Stage(poster(into, HandClock(NOW)), there=Known(into), hold=holding_letters(letters))
    lane = ListLane(0, records)
    told = await Replayer([lane], stage, Decoder(2**18, 2**20), Selection(Filters()), batch_max=10).run()
    assert told.counts == {"posted": 2, "handled": 1}


async def test_live_books_refuse_what_they_may_have_forgotten() -> None:
    old = event_id("old", datetime.now(UTC) - timedelta(days=91))
    value = encoded(body(name="x") | {"id": old})
    lane = ListLane(0, [Record(TOPIC, 0, 0, None, value)])
    into = MemoryBooks()
    stage = Stage(poster(into, HandClock()), there=Known(into), horizon=timedelta(days=90))
    with pytest.raises(BelowHorizonError, match=f"{old} at {TOPIC}/0/0 is older than the 90 days"):
        await Replayer([lane], stage, Decoder(2**18, 2**20), Selection(Filters()), batch_max=10).run()
    assert into.contents.processed == {}


async def test_a_rate_is_kept() -> None:
    live, lanes = await lived(5)
    started = monotonic()
    told = await replayed(live, [lanes[0]], MemoryBooks(), rate=400)
    posted = sum(told.counts.get(kind, 0) for kind in ("posted", "rejected", "duplicate"))
    assert monotonic() - started >= posted / 400


async def test_a_lane_that_fails_ends_the_replay_with_its_fault() -> None:
    class Broken(ListLane):
        async def read(self, first: int) -> AsyncGenerator[Sequence[Record], None]:
            yield self.records[:3]
            raise OSError("gone")

    live, lanes = await lived(6)
    with pytest.raises(OSError, match="gone"):
        await replayed(live, [lanes[0], Broken(1, lanes[1].records)], MemoryBooks())
