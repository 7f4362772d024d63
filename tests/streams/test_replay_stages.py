"""What a replay writes down of itself, beside the books."""

from datetime import datetime, timedelta
from typing import Any, cast

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.chain import MemoryChain
from ledger.application.post_events import Batch
from ledger.application.replaying import Reached
from ledger.domain.outcome import Outcome
from streams.replay.stages import RealBooks, WrittenDown
from tests.builders import NOW, HandClock, transfer
from tests.streams.test_replay_run import poster


class Lowered(MemoryChain):
    def __init__(self) -> None:
        super().__init__(MemoryBooks())
        self.to: list[datetime] = []

    async def lower(self, at: datetime) -> None:
        self.to.append(at)


class Saved:
    async def save(self, *_: Any, **__: Any) -> bool:
        return True


async def posted(at: datetime) -> list[Outcome]:
    return await poster(MemoryBooks(), HandClock(at))(Batch([transfer("external:bank", "ann", 1)]))


async def test_the_chain_looks_again_from_the_earliest_time_under_which_was_posted() -> None:
    chain = Lowered()
    books = RealBooks(cast(Any, None), cast(Any, Saved()), cast(Any, None), chain)
    written = WrittenDown(books, "id", 1, "payments", {0: Reached(0, NOW)})
    # A precedent's time may lie before what its partition had reached.
    early, late = NOW - timedelta(seconds=20), NOW + timedelta(seconds=20)
    for at in (NOW, early, late):
        await written.note([], await posted(at))
    await written.save({0: Reached(3, late)}, {})
    await written.save({0: Reached(4, late)}, {})
    await written.note([], [])
    await written.save({0: Reached(5, late)}, {})
    assert chain.to == [early]
