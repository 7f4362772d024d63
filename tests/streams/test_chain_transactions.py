"""The chain agent: it links what outcomes say was posted, and waits while the database is away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.chain import MemoryChain
from ledger.application.chain import Appended, ChainTransactions
from ledger.application.faults import TransientFaultError
from ledger.application.post_events import Batch, PostEvents
from ledger.config import Settings
from ledger.contract.outgoing import outcome_message
from ledger.domain.books import EventKey, Rules
from streams.agents.chain_transactions import ChainChunk, ChainSweep, posted_of
from streams.patience import Patience
from streams.transport.chunk import Chunk
from tests.builders import HandClock, event, event_id, transfer
from tests.fakes import RememberedSignals

EVENTS = [
    transfer("external:bank", "ann", 100, name="fund"),
    transfer("ann", "shop", 999, name="refused"),
    event("account.close.v1", {"account": "empty"}, name="close"),
    transfer("external:bank", "bob", 5, name="other", tenant="other"),
]
POSTED = [("acme", event_id("fund")), ("other", event_id("other"))]


def chunk(*values: bytes | None) -> Chunk:
    records: Any = [SimpleNamespace(value=value) for value in values]
    return Chunk("ledger.outcomes", 0, records, 0, len(values), 1)


class Flaky(MemoryChain):
    """A chain whose database is away at first, as often as told."""

    faults = 0

    async def append(self, keys: Sequence[EventKey], *, late: bool = False) -> Appended:
        if self.faults:
            self.faults -= 1
            raise TransientFaultError("away")
        return await super().append(keys, late=late)


class Stage:
    def __init__(self) -> None:
        self.books = MemoryBooks()
        self.store = Flaky(self.books)
        self.signals = RememberedSignals()
        clock = HandClock()
        self.post = PostEvents(self.books, clock, Rules(), self.signals, backoff_max_s=0.01)
        self.use_case = ChainTransactions(self.store, clock, timedelta(seconds=-1), self.signals)
        self.agent = ChainChunk(self.use_case, self.signals, Patience(backoff_max_s=0.01))

    async def outcomes(self) -> list[bytes | None]:
        return [outcome_message(each).value for each in await self.post(Batch(EVENTS, []))]

    async def linked(self) -> list[EventKey]:
        async with self.store.snapshot() as chain:
            links = [link for tenant in await chain.tenants() for link in await chain.links(tenant, 0, 100)]
        return [(link.tenant, link.event_id) for link in links]


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_outcomes_name_what_was_posted(stage: Stage) -> None:
    odd = [b"", None, b"event.posted.v1", b'{"type":"event.posted.v1"}']
    bad_id = orjson.dumps({"type": "event.posted.v1", "tenant": "acme", "data": {"transaction": "x"}})
    repeated = [outcome_message(each).value for each in await stage.post(Batch(EVENTS, []))]
    assert posted_of(chunk(*repeated, *odd, bad_id).records) == POSTED


async def test_chunk_is_linked_however_often_it_comes(stage: Stage) -> None:
    values = await stage.outcomes()
    await stage.agent(chunk(*values))
    await stage.agent(chunk(*values, *values))
    assert await stage.linked() == POSTED


async def test_database_that_is_away_is_waited_for(stage: Stage) -> None:
    values = await stage.outcomes()
    stage.store.faults = 3
    await stage.agent(chunk(*values))
    assert await stage.linked() == POSTED
    assert stage.signals.names().count("chain.delayed") == 3


async def test_transaction_that_the_books_do_not_have_is_told(stage: Stage) -> None:
    values = await stage.outcomes()
    stage.books.contents.transactions = {}
    await stage.agent(chunk(*values))
    assert stage.signals.names().count("chain.transaction_not_there") == 2


async def test_sweep_begins_at_once(stage: Stage) -> None:
    await stage.outcomes()
    async with sweeping(stage, lambda: True):
        for _ in range(500):
            if await stage.linked():
                break
            await asyncio.sleep(0.01)
    assert await stage.linked() == POSTED


async def test_sweep_is_left_to_the_worker_that_holds_partition_0(stage: Stage) -> None:
    await stage.outcomes()
    asked = asyncio.Event()

    def is_mine() -> bool:
        asked.set()
        return False

    async with sweeping(stage, is_mine):
        await asked.wait()
    assert await stage.linked() == []


@asynccontextmanager
async def sweeping(stage: Stage, is_mine: Callable[[], bool]) -> AsyncIterator[None]:
    task = asyncio.create_task(ChainSweep(stage.use_case, Settings(), stage.signals, is_mine).run())
    yield
    task.cancel()
