"""What a replay writes down of itself, beside the books."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.chain import MemoryChain
from ledger.application.ports import Position
from ledger.application.post_events import Batch
from ledger.application.replaying import Reached
from ledger.domain.outcome import Outcome
from streams.replay.stages import RealBooks, WrittenDown
from streams.replay.wish import Source
from tests.builders import NOW, HandClock, transfer
from tests.streams.test_replay_run import poster


class Lowered(MemoryChain):
    def __init__(self) -> None:
        super().__init__(MemoryBooks())
        self.to: list[datetime] = []

    async def lower(self, at: datetime) -> None:
        self.to.append(at)


class Saved:
    def __init__(self) -> None:
        self.moved: list[tuple[int, int]] = []

    async def save(self, *_: Any, moved: Sequence[Position], **__: Any) -> bool:
        self.moved += [(each.first, each.next) for each in moved]
        return True


async def posted(at: datetime) -> list[Outcome]:
    return await poster(MemoryBooks(), HandClock(at))(Batch([transfer("external:bank", "ann", 1)]))


async def test_the_chain_looks_again_from_the_earliest_time_under_which_was_posted() -> None:
    chain = Lowered()
    books = RealBooks(cast(Any, None), cast(Any, Saved()), cast(Any, None), chain)
    written = WrittenDown(books, "id", 1, Source("topic", {0: (0, 9)}, "payments"), {}, moves=True)
    # A precedent's time may lie before what its partition had reached.
    early, late = NOW - timedelta(seconds=20), NOW + timedelta(seconds=20)
    for at in (NOW, early, late):
        await written.note([], await posted(at))
    await written.save({0: Reached(3, late)}, {})
    await written.save({0: Reached(4, late)}, {})
    await written.note([], [])
    await written.save({0: Reached(5, late)}, {})
    assert chain.to == [early]


async def test_the_books_pass_where_the_workers_stand_only_with_all_that_is_to_be_replayed() -> None:
    saved = Saved()
    books = RealBooks(cast(Any, None), cast(Any, saved), cast(Any, None), Lowered())
    source = Source("topic", {0: (2, 9)}, "payments", noted={0: 6})
    written = WrittenDown(books, "id", 1, source, {}, moves=True)
    for reached in (4, 6, 8):
        await written.save({0: Reached(reached, NOW)}, {})
    assert saved.moved == [(2, 4), (4, 5)]
    gone_on_with = WrittenDown(books, "id", 2, source, {0: Reached(8, NOW)}, moves=True)
    await gone_on_with.save({0: Reached(9, NOW)}, {})
    assert saved.moved[2:] == [(5, 9)]
