"""Those who decide: they hear of what was decided in vain, and keep nobody else waiting."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.post_events import AT_ONCE, Batch, DecideNow, PostEvents
from ledger.domain.books import Rules
from ledger.domain.commands import Event
from tests.application.office import deposit
from tests.builders import HandClock
from tests.fakes import FailingStore, RememberedSignals


class Watching(DecideNow):
    """A judge that remembers what it was told is void."""

    def __init__(self) -> None:
        self.void: list[Event] = []

    def undone(self, events: Sequence[Event]) -> None:
        self.void += events


async def test_judge_hears_of_what_was_decided_in_vain() -> None:
    judge, events = Watching(), [deposit(1), deposit(2)]
    store = FailingStore(MemoryBooks(), ["before commit"])
    post = PostEvents(store, HandClock(), Rules(), RememberedSignals(), backoff_max_s=0.01, judge=judge)
    assert [each.kind for each in await post(Batch(events))] == ["posted", "posted"]
    assert judge.void == events


async def test_others_may_go_on_between_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what else the worker has on its way would wait until all is decided."""
    seen: list[int] = []
    judge = DecideNow()
    post = PostEvents(MemoryBooks(), HandClock(), Rules(), RememberedSignals(), judge=judge)
    decided = 0

    def decide(*given: Any) -> Any:
        nonlocal decided
        decided += 1
        return DecideNow().decide(*given)

    async def look() -> None:
        while True:
            seen.append(decided)
            await asyncio.sleep(0)

    monkeypatch.setattr(judge, "decide", decide)
    looking = asyncio.create_task(look())
    await post(Batch([deposit(number) for number in range(2 * AT_ONCE + 1)]))
    looking.cancel()
    assert {AT_ONCE, 2 * AT_ONCE} <= set(seen)
