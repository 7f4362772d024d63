"""The posting agent: what one partition has committed before another is published before it."""

import asyncio
from collections.abc import Collection, Sequence
from typing import cast

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.post_events import Batch, PostEvents
from ledger.config import Settings
from ledger.domain.books import Rules
from ledger.domain.outcome import Outcome
from streams.agents.post_events import PostChunk
from streams.publishing import PatientPublisher
from streams.transport.chunk import Chunk
from streams.transport.publisher import Outgoing
from tests.builders import NOW, HandClock, event
from tests.fakes import RememberedSignals

MANY = 350


class Posted:
    """Books that have posted a batch already: that of partition 0 has many events, any other has one."""

    async def __call__(self, batch: Batch) -> list[Outcome]:
        assert batch.position is not None
        count = 1 if batch.position.partition else MANY
        made = event(name=batch.position.partition)
        return [Outcome(made, "posted", NOW) for _ in range(count)]


class Log:
    """What was published, call by call; more takes longer."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    async def publish(self, records: Sequence[Outgoing], forgo: Collection[str] = ()) -> None:
        for _ in range(1 + len(records) // 100):
            await asyncio.sleep(0)
        self.calls.append(len(records))


async def test_the_books_go_over_a_hole_in_the_log() -> None:
    signals, log = RememberedSignals(), Log()
    post = PostEvents(MemoryBooks(), HandClock(), Rules(), signals)
    handle = PostChunk(post, cast(PatientPublisher, log), Settings(), signals, HandClock())
    # An aborted transaction may be all that a fetch brings.
    await handle(Chunk("payments", 0, [], 0, 3, 1))
    await handle(Chunk("payments", 0, [], 3, 4, 1))
    assert "position.gap" not in signals.names()


async def test_a_small_batch_does_not_overtake_a_large_one_that_was_committed_before() -> None:
    log = Log()
    handle = PostChunk(
        cast(PostEvents, Posted()), cast(PatientPublisher, log), Settings(), RememberedSignals(), HandClock()
    )
    chunks = [Chunk("payments", partition, [], 0, 0, 1) for partition in range(3)]
    await asyncio.gather(*[handle(chunk) for chunk in chunks])
    assert log.calls == [MANY, 1, 1]
