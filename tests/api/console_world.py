"""The console over books in memory: doubles of what it watches, and a browser's worth of client that has signed in."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from ledger.adapters.memory.dead_letters import MemoryDeadLetters
from ledger.adapters.memory.payments import MemoryPayments
from ledger.adapters.memory.provider_board import MemoryProviderBoard
from ledger.adapters.memory.reader import MemoryHistory
from ledger.api.app import create_app
from ledger.api.console_services import ApiStand, ConsoleServices, LetterDesk
from ledger.api.services import Services
from ledger.api.sessions import Sessions
from ledger.application.access import Scope
from ledger.application.dead_letters import DropLetters, Place, RefusePosted, RequeueLetters
from ledger.application.decide_payments import PaymentDesk
from ledger.application.faults import LogAwayError, TransientFaultError
from ledger.application.letter_events import FindLetterEvent
from ledger.application.operator_counts import OperatorCounts
from ledger.application.pipeline import BooksStand, PartitionStand, StreamAskError, StreamStand
from ledger.application.reports import ReportFile, Verification
from ledger.application.saga_mover import Outside, SagaMover
from ledger.application.shared_looks import SharedLooks
from ledger.application.watch_pipeline import Names, WatchPipeline
from ledger.contract.dead_letter import Record
from ledger.contract.decode import RECORD_BYTES_MAX
from ledger.contract.outgoing import Message
from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier
from ledger.domain.payments.rules import PaymentRules
from tests.api.world import KEY_SECRET, TENANTS, World
from tests.builders import NOW, event_id

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
    asked: int = 0

    async def counts(self) -> OperatorCounts:
        self.asked += 1
        return self.said


@dataclass
class Topic:
    """Payments that remember what was sent; `away` makes them fail."""

    sent: list[Message] = field(default_factory=list)
    away: bool = False

    async def send(self, messages: Sequence[Message]) -> Sequence[Place]:
        if self.away:
            raise LogAwayError("Kafka is away")
        self.sent += messages
        return [Place("payments", 0, 1000 + number) for number in range(len(messages))]


@dataclass
class Decided:
    """Precedents of books that know what was given, by id."""

    known: dict[str, Earlier] = field(default_factory=dict)

    async def of(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        return {each.identity: self.known[each.id] for each in events if each.id in self.known}


@dataclass
class Log:
    """Origins and a RecordReader over records that were given."""

    places: dict[str, Place] = field(default_factory=dict)
    records: dict[Place, Record] = field(default_factory=dict)
    fault: str | None = None

    async def place_of(self, tenant: str, event_id: str) -> Place | None:
        return self.places.get(event_id)

    async def read(self, place: Place) -> Record | None:
        if self.fault is not None:
            raise StreamAskError(self.fault)
        return self.records.get(place)


@dataclass
class Kept:
    """Reports that were given."""

    contents: dict[str, bytes] = field(default_factory=dict)

    async def files(self) -> Sequence[ReportFile]:
        return [ReportFile(name, len(content), NOW) for name, content in self.contents.items()]

    async def read(self, name: str) -> bytes | None:
        return self.contents.get(name)


@dataclass
class LastVerdict:
    """The verdict that was given; `away` makes it fail."""

    verification: Verification | None = None
    away: bool = False
    asked: int = 0

    async def keep(self, verification: Verification) -> None:
        self.verification = verification

    async def last(self) -> Verification | None:
        self.asked += 1
        if self.away:
            raise TransientFaultError("PostgreSQL is away")
        return self.verification


@dataclass
class ConsoleWorld(World):
    """A world with a console, in which nothing is wrong."""

    streams: Streams = field(default_factory=Streams)
    position: Position = field(default_factory=Position)
    board: Board = field(default_factory=Board)
    stand: ApiStand = field(default_factory=lambda: ApiStand(1, 0, True, False))
    requests: float = 0.0
    runbook: str = RUNBOOK
    letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    precedents: Decided = field(default_factory=Decided)
    topic: Topic = field(default_factory=Topic)
    log: Log = field(default_factory=Log)
    kept: Kept = field(default_factory=Kept)
    verdict: LastVerdict = field(default_factory=LastVerdict)

    def desk(self) -> PaymentDesk:
        payments = MemoryPayments(self.books)
        outside = Outside(self.clock, lambda: 0.5, lambda payment_id: event_id("fresh"))
        mover = SagaMover(payments, outside, PaymentRules(), self.signals)
        return PaymentDesk(payments, mover, MemoryProviderBoard(self.books, "acme"), self.clock)

    def letter_desk(self) -> LetterDesk:
        refuse = RefusePosted(self.precedents)
        return LetterDesk(
            letters=self.letters,
            find_event=FindLetterEvent(self.precedents, bytes_max=RECORD_BYTES_MAX),
            drop=DropLetters(self.letters, self.clock, refuse),
            requeue=RequeueLetters(self.letters, self.topic, self.clock, refuse),
        )

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
            "sessions": Sessions(KEY_SECRET, bytes, lasts_s=3600, ends_s=12 * 3600),
            "watch": watch,
            "waiting": SharedLooks(lambda: self.monotonic, lambda seen: seen.is_whole),
            "stand": lambda: self.stand,
            "runbook": lambda: self.runbook,
            "holds": MemoryHistory(self.books, TENANTS, self.clock),
            "board": self.board,
            "desk": self.desk(),
            "payments": MemoryPayments(self.books),
            "letters": self.letter_desk(),
            "origins": self.log,
            "records": self.log,
            "reports": self.kept,
            "verifications": self.verdict,
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


def forget_keys(world: ConsoleWorld, fault: Exception) -> None:
    """Have a process that has just started, whose books answer with a fault."""

    async def failing(key_id: str) -> None:
        raise fault

    world.key_store.presented = failing  # type: ignore[method-assign]
    world.chain._known.clear()
