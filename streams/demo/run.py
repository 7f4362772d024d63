"""Run the demonstration on a stack of its own."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.postgres import reads
from ledger.adapters.postgres.engine import open_engine
from ledger.config import Settings
from ledger.domain.audit import Verdict
from ledger.observability.signals import Signals
from streams.demo.mix import Sent
from streams.demo.paying import Paying, PaymentsReport
from streams.demo.readings import Api, Reading
from streams.demo.tracing import TracedSending
from streams.embedded.programs import Program, api, chain_workers, posting_workers, windows_workers
from streams.embedded.stack import EmbeddedStack
from streams.prepare import prepare
from streams.transport.publisher import BatchPublisher
from streams.verifying import verify_books

LOOK_S = 0.1
SEND_RECORDS = 5000
STATEMENT_ACCOUNTS = 3
STATEMENT_LINES = 4
STALLED_S = 90.0
RESTARTED_S = 30.0
KILL_EVENTS_MIN = 2000
"""With fewer events, all may be over before a worker can be killed."""


class Source(Protocol):
    """Where the events come from: first those that the rest builds on, then the rest."""

    def opening(self) -> Iterator[Sent]: ...

    def payments(self) -> Iterator[Sent]: ...


Note = Callable[[str, int, int], None]
"""Called with a step's name, and how much of how much of it is done."""


@dataclass(slots=True)
class Report:
    """What the demonstration found."""

    sent: int = 0
    seconds: float = 0.0
    posting_seconds: float = 0.0
    posted_events: int = 0
    killed_at: int | None = None
    restarts: int = 0
    worker_memory_mib: list[float] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    records: Counter[str] = field(default_factory=Counter)
    dead_letters: dict[str, int] = field(default_factory=dict)
    statements: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    verdict: Verdict = field(default_factory=lambda: Verdict([]))
    payments: PaymentsReport | None = None
    bank_compared: int | None = None
    bank_differences: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        books = self.verdict.ok and not self.bank_differences and self.records.total() >= self.sent
        return books and self.kill_fault is None and all(reading.agrees for reading in self.readings)

    @property
    def kill_fault(self) -> str | None:
        """Say what was not shown of a worker that is killed and started again."""
        if self.killed_at is None:
            return "no worker was killed" if self.sent >= KILL_EVENTS_MIN else None
        if not self.restarts:
            return "the worker that was killed was not started again"
        return self.payments.fault if self.payments else None

    def memory_mib(self) -> dict[str, float]:
        """A worker's memory in the first and in the last quarter of posting (median), and at most."""
        seen = self.worker_memory_mib or [0.0]
        quarter = -(-len(seen) // 4)
        found = {"first_quarter": median(seen[:quarter]), "last_quarter": median(seen[-quarter:])}
        return {name: round(mib, 1) for name, mib in (*found.items(), ("max", max(seen)))}

    @property
    def rate(self) -> float:
        """Events handled a second, over the time in which a worker was at work."""
        return self.posted_events / self.posting_seconds if self.posting_seconds else 0.0


class StalledError(Exception):
    """Nothing moves any more."""


class Demo:
    """One run: send, kill a worker half-way and one of payments, wait until all is handled, verify."""

    def __init__(
        self,
        settings: Settings,
        state_dir: Path,
        tenant: str,
        *,
        workers: int,
        note: Note,
        paying: Paying | None = None,
    ) -> None:
        self._settings = settings if paying is None else paying.settings(settings)
        self._paying = paying
        self._state_dir = state_dir
        self._tenant = tenant
        self._workers = workers
        self._note = note
        self._total = 0
        self.report = Report(payments=None if paying is None else paying.report)

    async def run(self, source: Source, exact_balances: dict[str, int] | None = None) -> Report:
        """Run it; the stack is stopped at the end, whatever happens."""
        started = monotonic()
        async with self._stack() as stack, self._connected(stack) as (publisher, engine):
            self._note("opening accounts", 0, 1)
            await self._send(publisher, source.opening())
            await self._drain(engine, stack, kill_at=None)
            self._note("opening accounts", 1, 1)
            await self._pay(source, stack, publisher, engine)
            await self._until_payments_have_ended(stack, engine)
            await self._until_holds_are_let_go(engine, stack.kafka)
            await self._drain(engine, stack, kill_at=None)
            await self._until_restarted(stack)
            await self._until_chained(engine)
            await self._look_back(stack, engine, exact_balances)
        self.report.seconds = monotonic() - started
        return self.report

    @asynccontextmanager
    async def _stack(self) -> AsyncIterator[EmbeddedStack]:
        signals = Signals(lambda name, facts: self._progress(name, dict(facts)))
        stack = EmbeddedStack(
            self._state_dir,
            settings=self._settings,
            preparations=(prepare, *([self._paying.preparation] if self._paying else [])),
            programs=[
                *posting_workers(self._workers),
                *self._programs(),
                *windows_workers(1),
                *chain_workers(1),
                api,
            ],
            signals=signals,
        )
        async with stack:
            if self._paying:
                await self._paying.begin(stack)
            yield stack

    def _programs(self) -> Sequence[Program]:
        return self._paying.programs if self._paying else ()

    def _progress(self, name: str, facts: dict[str, Any]) -> None:
        if name == "artifacts.fetched":
            self._note("fetching Kafka", facts["done"], facts["total"])

    @asynccontextmanager
    async def _connected(self, stack: EmbeddedStack) -> AsyncIterator[tuple[BatchPublisher, AsyncEngine]]:
        publisher = BatchPublisher(stack.kafka)
        engine = open_engine(stack.postgres_dsn, self._settings.postgres_schema)
        await publisher.start()
        try:
            yield publisher, engine
        finally:
            await publisher.stop()
            await engine.dispose()

    async def _send(self, publisher: BatchPublisher, records: Iterator[Sent]) -> None:
        with TracedSending.of(self._settings) as sending:
            while batch := list(islice(records, SEND_RECORDS)):
                with sending.marked(batch) as marked:
                    await publisher.publish(marked)
                self._total += len(batch)
                self.report.sent += len(batch)
                await asyncio.sleep(0)

    async def _pay(
        self, source: Source, stack: EmbeddedStack, publisher: BatchPublisher, engine: AsyncEngine
    ) -> None:
        sending = asyncio.create_task(self._send(publisher, source.payments()))
        try:
            await self._drain(engine, stack, kill_at=0.5, sending=sending)
        finally:
            sending.cancel()

    async def _drain(
        self,
        engine: AsyncEngine,
        stack: EmbeddedStack,
        kill_at: float | None,
        sending: asyncio.Task[None] | None = None,
    ) -> None:
        """Wait until everything sent is handled; time counts as posting while the books move on."""
        before, moved_at = await self._handled(engine), monotonic()
        looked_at = moved_at
        while (sending is not None and not sending.done()) or before < self._total:
            await asyncio.sleep(LOOK_S)
            handled, now = await self._handled(engine), monotonic()
            if handled > before:
                self.report.posting_seconds += (now - looked_at) if sending else 0.0
                self.report.posted_events += (handled - before) if sending else 0
                moved_at = now
            elif now - moved_at > STALLED_S:
                raise StalledError(
                    f"nothing moved for {STALLED_S:.0f} s, at {handled} of {self._total} events"
                )
            if sending:
                self._note("posting", handled, self._total)
                self._watch_memory(stack)
            if kill_at is not None and sending and sending.done() and handled >= kill_at * self._total:
                kill_at = None if self._kill(stack, handled) else kill_at
            before, looked_at = handled, now
        if sending:
            await sending

    async def _handled(self, engine: AsyncEngine) -> int:
        async with engine.connect() as connection:
            found = await reads.positions(connection, self._settings.payments_topic)
        return sum(found.values())

    def _worker_pids(self, stack: EmbeddedStack) -> list[int]:
        return [
            process.pid
            for process in stack.processes()
            if process.name.startswith("worker-") and process.pid is not None
        ]

    def _kill(self, stack: EmbeddedStack, handled: int) -> bool:
        pids = self._worker_pids(stack)[:1]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            self.report.killed_at = handled
        return bool(pids)

    async def _until_restarted(self, stack: EmbeddedStack) -> None:
        deadline = monotonic() + RESTARTED_S
        while monotonic() < deadline:
            self.report.restarts = self._restarts(stack, "worker-")
            if self._paying:
                self._paying.report.restarts = self._restarts(stack, "payments-")
            if self.report.killed_at is None or self.report.kill_fault is None:
                return
            await asyncio.sleep(LOOK_S)

    def _restarts(self, stack: EmbeddedStack, kind: str) -> int:
        return sum(each.restarts for each in stack.processes() if each.name.startswith(kind))

    def _watch_memory(self, stack: EmbeddedStack) -> None:
        for pid in self._worker_pids(stack):
            status = Path(f"/proc/{pid}/statm")
            if status.exists():
                pages = int(status.read_text().split()[1])
                self.report.worker_memory_mib.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    async def _until_payments_have_ended(self, stack: EmbeddedStack, engine: AsyncEngine) -> None:
        if self._paying is None:
            return
        note = partial(self._note, "payments at an end")
        if stuck := await self._paying.until_ended(stack, engine, STALLED_S, note):
            raise StalledError(f"payments do not come to an end: {stuck}")

    async def _until_holds_are_let_go(self, engine: AsyncEngine, bootstrap: str) -> None:
        """Holds whose time ran out are voided by events that the worker itself sends."""
        deadline = monotonic() + STALLED_S
        while monotonic() < deadline:
            self._note("letting expired holds go", 0, 1)
            async with engine.connect() as connection:
                if not await reads.holds_due(connection) and await self._nothing_waits(connection, bootstrap):
                    return
            await asyncio.sleep(4 * LOOK_S)
        raise StalledError("expired holds are not let go")

    async def _nothing_waits(self, connection: AsyncConnection, bootstrap: str) -> bool:
        topic = self._settings.payments_topic
        async with KafkaStream.open(bootstrap, topic) as stream:
            ends = {partition: end for partition, (_, end) in (await stream.bounds()).items()}
        self._total = sum(ends.values())
        return await reads.positions(connection, topic) == {at: end for at, end in ends.items() if end}

    async def _until_chained(self, engine: AsyncEngine) -> None:
        """What the verification looks at of the chain is then every transaction."""
        deadline = monotonic() + STALLED_S
        while monotonic() < deadline:
            async with engine.connect() as connection:
                unlinked = await reads.unlinked_count(connection)
            if unlinked == 0:
                return
            self._note("linking transactions", 0, 1)
            await asyncio.sleep(LOOK_S)
        raise StalledError(f"{unlinked} transactions are not in the audit chain")

    async def _look_back(
        self, stack: EmbeddedStack, engine: AsyncEngine, exact_balances: dict[str, int] | None
    ) -> None:
        report = self.report
        if self._paying:
            await self._paying.look_back(stack)
        report.verdict, tally = await verify_books(stack.settings, self._note)
        report.records = Counter({str(kind): count for kind, count in tally.items()})
        async with engine.connect() as connection:
            report.outcomes = await reads.outcome_counts(connection)
            report.dead_letters = await reads.dead_letter_counts(connection)
            balances = await reads.account_balances(connection, self._tenant)
            interesting = _interesting(balances)
            for row in interesting:
                lines = await reads.statement(connection, self._tenant, row["account"], STATEMENT_LINES)
                report.statements[row["account"]] = lines
        report.readings = await self._read_over_http(stack, interesting)
        if exact_balances is not None:
            self._compare_with_bank({row["account"]: row["balance"] for row in balances}, exact_balances)

    async def _read_over_http(self, stack: EmbeddedStack, rows: list[dict[str, Any]]) -> list[Reading]:
        url = stack.state.read().url("api") or ""
        async with Api.open(stack.settings, stack.postgres_dsn, url, self._tenant) as http:
            return await http.readings((row["account"], row["asset"]) for row in rows)

    def _compare_with_bank(self, ours: dict[str, int], exact: dict[str, int]) -> None:
        self.report.bank_compared = len(exact)
        self.report.bank_differences = [
            {"account": account, "bank": theirs, "ledger": ours.get(account)}
            for account, theirs in exact.items()
            if ours.get(account) != theirs
        ]


def _interesting(balances: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pick the busiest account of each family (customer, merchant, …)."""
    families: dict[str, dict[str, Any]] = {}
    for row in balances:
        families.setdefault(row["account"].partition(":")[0], row)
    return list(families.values())[:STATEMENT_ACCOUNTS]
