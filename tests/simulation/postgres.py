"""A database server over the books in memory: sessions that end with their clients or before, and commits in doubt.

A client learns of a commit only by its answer. The answer may be lost though the commit was made, or before it was;
and a commit may still be under way, with all its locks, when the client already begins anew.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

from ledger.adapters.memory.books import MemoryBooks, MemoryUnitOfWork
from ledger.application.expire_holds import ExpiredHold
from ledger.application.faults import PositionGapError, TooSlowError, TransientFaultError
from ledger.application.ports import Position
from ledger.contract.dead_letter import DeadLetter
from ledger.domain.books import Books, EventKey, Needs
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier, Outcome
from ledger.observability import crash
from tests.simulation.faults import Faults
from tests.simulation.loop import Process, current_process
from tests.simulation.network import Network

LOCK_WAIT_S = 5.0
IDLE_S = 15.0


class Seen(NamedTuple):
    """How many decisions were committed when a batch began, and when it was committed itself."""

    began: int
    committed: int


class Session:
    """One connection with its transaction, as the server sees it."""

    def __init__(self, server: "Server", owner: Process | None) -> None:
        self.unit = MemoryUnitOfWork(server.books)
        self._began = server.decided
        self.owner = owner
        self.is_over = False
        self.running: asyncio.Task[Any] | None = None
        self.is_committing = False
        self._server = server
        self._idle: asyncio.TimerHandle | None = None

    async def run(self, statement: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run one statement; it waits for locks only so long."""
        if self.is_over:
            raise TransientFaultError("the connection was lost")
        self._stop_idling()
        self.running = asyncio.current_task()
        try:
            async with asyncio.timeout(LOCK_WAIT_S):
                return await statement()
        except TimeoutError:
            self.end()
            raise TooSlowError("lock not available in time") from None
        except TransientFaultError:
            self.end()
            raise
        finally:
            self.running = None
            if not self.is_over:
                self._idle = self._server.network.later(IDLE_S, self.end)

    async def commit(self) -> None:
        """Make it durable."""
        if self.is_over:
            raise TransientFaultError("the connection was lost")
        committed = self._server.decided
        await self.unit.commit()
        seen = Seen(self._began, committed)
        self._server.seen += [seen] * (self._server.decided - committed)
        self._server.committed(self)
        self.end()

    def end(self) -> None:
        """Roll back what is not committed, and let go of all locks."""
        self._stop_idling()
        self.is_over = True
        if self.running is not None and self.running is not asyncio.current_task():
            self.running.cancel()
        self._server.sessions.pop(self, None)
        self._server.books.locks.release(self.unit)

    def _stop_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


class Server:
    """PostgreSQL, whose tables are the books in memory."""

    def __init__(self, network: Network, faults: Faults, tell: Callable[[str], None]) -> None:
        self.books = MemoryBooks()
        self.network = network
        self.faults = faults
        self.sessions: dict[Session, None] = {}
        self.deadlocks = 0
        self.seen: list[Seen] = []
        """Of each decision, in their order."""
        self._tell = tell

    @property
    def decided(self) -> int:
        """How many events were decided by what is committed."""
        return len(self.books.contents.processed)

    def committed(self, session: Session) -> None:
        """Note a commit in the trace: it is the moment at which everybody sees it."""
        owner = "-" if session.owner is None else session.owner.name
        self._tell(f"server commit by {owner}, {self.decided} events")

    async def open(self, owner: Process | None) -> Session:
        """Begin a transaction."""
        session = Session(self, owner)
        self.sessions[session] = None
        return session

    def client_died(self, process: Process) -> None:
        """The connections of a process are closed; the server sees it at once, or a little later."""
        for session in tuple(self.sessions):
            if session.owner is process and not session.is_committing:
                self.network.later(self.network.latency("postgres"), session.end)

    def restart(self) -> None:
        """All transactions that are not committed are rolled back."""
        for session in tuple(self.sessions):
            session.end()


class Client:
    """What a process knows of the server: a BookStore, and calls that may fail."""

    def __init__(self, server: Server, process: str) -> None:
        self._server = server
        self._process = process

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator["Unit"]:
        session: Session = await self.ask("begin", lambda: self._server.open(current_process()))
        # What is opened for a client that is gone is closed again.
        try:
            unit = Unit(self, session)
            yield unit
        finally:
            if not session.is_over and not session.is_committing:
                self._server.network.later(self._server.network.latency("postgres"), session.end)

    async def begin(self, topic: str, first_offsets: Mapping[int, int]) -> None:
        await self.ask("begin", lambda: self._server.books.begin(topic, first_offsets))

    async def ask(self, step: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Have one statement run, unless a fault is in the way: before it, or after it."""
        return await self.guarded(step, lambda: self._server.network.call("postgres", work))

    async def guarded(self, step: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask, unless the server is away or a fault says that this call fails."""
        if self._server.faults.away["postgres"]:
            await asyncio.sleep(self._server.network.latency("postgres"))
            raise TransientFaultError("cannot connect")
        fault = self._server.faults.take(self._process, f"postgres {step}")
        if fault is not None and fault["mode"] == "before":
            raise TransientFaultError(f"the connection was lost before {step}")
        try:
            answer = await ask()
        except ConnectionAbortedError as lost:
            raise TransientFaultError("the server ended the connection") from lost
        if fault is not None:
            raise TransientFaultError(f"the answer to {step} was lost")
        return answer

    async def commit(self, session: Session) -> None:
        """Commit; what the client hears of it is another matter."""
        fault = self._server.faults.take(self._process, "postgres commit")
        mode = None if fault is None else fault["mode"]
        network = self._server.network
        if mode == "late":
            # The client gives up, and the server, which has the request, commits when the client has begun anew.
            session.is_committing = True
            network.later(fault["s"], lambda: network.serve(_commit(session)))  # type: ignore[index]
            raise TransientFaultError("no answer to commit yet")
        if mode == "before" or self._server.faults.away["postgres"]:
            raise TransientFaultError("the connection was lost at commit")
        try:
            await network.call("postgres", session.commit)
        except ConnectionAbortedError as lost:
            raise TransientFaultError("the server ended the connection") from lost
        if mode == "after":
            raise TransientFaultError("the answer to commit was lost")


async def _commit(session: Session) -> None:
    if not session.is_over:
        await session.commit()


class Unit:
    """A UnitOfWork of a client, with the crash points of the real one."""

    def __init__(self, client: Client, session: Session) -> None:
        self._client = client
        self._session = session

    async def lock(self, needs: Needs) -> Books:
        return await self._run("lock", lambda: self._session.unit.lock(needs))  # type: ignore[no-any-return]

    async def claim(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        known = await self._run("claim", lambda: self._session.unit.claim(events))
        crash.crash_point("claimed")
        return known  # type: ignore[no-any-return]

    async def recall(self, events: Sequence[Event], earlier: Mapping[EventKey, Earlier]) -> list[Outcome]:
        return await self._run("recall", lambda: self._session.unit.recall(events, earlier))  # type: ignore[no-any-return]

    async def write(
        self,
        books: Books,
        decided: Sequence[Outcome],
        at: Sequence[datetime],
        letters: Sequence[DeadLetter],
    ) -> None:
        await self._run("write", lambda: self._session.unit.write(books, decided, at, letters))

    async def advance(self, position: Position) -> None:
        await self._run("advance", lambda: self._session.unit.advance(position))

    async def commit(self) -> None:
        crash.crash_point("before_commit")
        await self._client.commit(self._session)
        crash.crash_point("committed")

    async def _run(self, step: str, statement: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        try:
            return await self._client.ask(step, lambda: self._session.run(statement))
        except PositionGapError:
            self._session.end()
            raise


class ServerHolds:
    """The Holds that a sweep looks through."""

    def __init__(self, books: MemoryBooks) -> None:
        self._books = books

    async def expired(self, now: datetime, limit: int) -> Sequence[ExpiredHold]:
        found = [
            ExpiredHold(hold.tenant, hold.id, hold.debit, hold.expires_at)
            for _, hold in sorted(self._books.contents.holds.items())
            if hold.state == "open" and hold.expires_at is not None and hold.expires_at <= now
        ]
        return sorted(found, key=lambda hold: (hold.expires_at, hold.id))[:limit]
