"""The console over books in memory: doubles of what it watches, and a browser's worth of client that has signed in."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from ledger.adapters.memory.reader import MemoryHistory
from ledger.api.app import create_app
from ledger.api.console_services import ApiStand, ConsoleServices
from ledger.api.services import Services
from ledger.api.sessions import Sessions
from ledger.application.access import Scope
from ledger.application.faults import TransientFaultError
from ledger.application.operator_counts import OperatorCounts
from ledger.application.pipeline import BooksStand, PartitionStand, StreamAskError, StreamStand
from ledger.application.watch_pipeline import Names, WatchPipeline
from tests.api.world import KEY_SECRET, TENANTS, World
from tests.builders import NOW

NAMES = Names("payments", "ledger-post", "ledger.entries", "ledger-windows")
RUNBOOK = "# When\n\n## PostgreSQL is away\n\nDo `ledger doctor`.\n\n```sh\nledger doctor\n```\n"


def stand(
    topic: str = "payments",
    *,
    end: int = 10,
    committed: int = 10,
    members: int = 1,
    waits: float | None = None,
) -> StreamStand:
    """A topic of one partition; `waits`: for how many seconds the oldest record does."""
    oldest = None if waits is None else NOW - timedelta(seconds=waits)
    return StreamStand(topic, "a group", members, [PartitionStand(0, 0, end, committed)], oldest)


@dataclass
class Streams:
    """A StreamWatch that says what it is told to."""

    stands: dict[str, StreamStand] = field(
        default_factory=lambda: {"payments": stand(), "ledger.entries": stand("ledger.entries")}
    )
    fault: str | None = None

    async def look(self, topic: str, group: str) -> StreamStand:
        if self.fault is not None:
            raise StreamAskError(self.fault)
        return self.stands[topic]


@dataclass
class Position:
    """A BooksWatch that says what it is told to."""

    offset: int = 10
    moved_at: datetime | None = NOW
    fault: str | None = None

    async def look(self, topic: str) -> BooksStand:
        if self.fault is not None:
            raise TransientFaultError(self.fault)
        return BooksStand({0: self.offset}, self.moved_at)


@dataclass
class Board:
    """An OperatorBoard that says what it is told to."""

    said: OperatorCounts = field(default_factory=lambda: OperatorCounts(0, 0, 0))

    async def counts(self) -> OperatorCounts:
        return self.said


@dataclass
class ConsoleWorld(World):
    """A world with a console, in which nothing is wrong."""

    streams: Streams = field(default_factory=Streams)
    position: Position = field(default_factory=Position)
    board: Board = field(default_factory=Board)
    stand: ApiStand = field(default_factory=lambda: ApiStand(1, 0, True, False))
    requests: float = 0.0
    runbook: str = RUNBOOK

    def console(self, **given: Any) -> ConsoleServices:
        watch = WatchPipeline(
            NAMES,
            self.streams,
            self.position,
            lambda: self.requests,
            self.clock,
            lambda: self.monotonic,
        )
        made: dict[str, Any] = {
            "sessions": Sessions(KEY_SECRET, bytes, lasts_s=3600),
            "watch": watch,
            "stand": lambda: self.stand,
            "runbook": lambda: self.runbook,
            "holds": MemoryHistory(self.books, TENANTS, self.clock),
            "board": self.board,
            "operators": frozenset({"acme"}),
        }
        return ConsoleServices(**made | given)

    def services(self, **given: Any) -> Services:
        return super().services(**{"console": self.console(), **given})


def token_in(text: str) -> str:
    """Find the token of a page's first form."""
    found = re.search(r'name="token" value="([0-9a-f]+)"', text)
    assert found is not None, text
    return found[1]


@asynccontextmanager
async def browser_of(services: Services, url: str = "http://api") -> AsyncIterator[httpx.AsyncClient]:
    """Give a client that keeps cookies, and follows nothing by itself."""
    transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=url) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, key: object, wanted: str = "/console") -> httpx.Response:
    """Sign in as a browser does."""
    form = await client.get("/console/sign-in", params={"next": wanted})
    given = {"token": token_in(form.text), "key": str(key), "next": wanted}
    return await client.post("/console/sign-in", data=given)


@asynccontextmanager
async def visiting(
    world: ConsoleWorld, scope: Scope = "read", tenant: str = "acme", **given: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client that has signed in."""
    async with browser_of(world.services(**given)) as client:
        answer = await sign_in(client, await world.key(scope, tenant=tenant))
        assert answer.status_code == 303, answer.text
        yield client
