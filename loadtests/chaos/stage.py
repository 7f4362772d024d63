"""Where faults are injected: servers, every program of the ledger, proxies between, a load, a watch over lag."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import asyncpg

from ledger.config import Settings
from ledger.observability.crash import EXIT_CODE
from loadtests.bench.stage import environment_of
from loadtests.chaos.crew import Crew, CrewError, DownError, Extra
from loadtests.chaos.lag import Gauge, Sample, Watch
from loadtests.chaos.load import Load
from loadtests.chaos.proxy import Proxy
from loadtests.chaos.reads import Reading
from loadtests.chaos.servers import (
    LOOPBACK,
    Broker,
    address_in,
    moved,
    postgres,
    redis_program,
)
from streams.cli.running import SERVICE_AWAY
from streams.embedded.part import Part
from streams.embedded.programs import (
    PROVIDER,
    Program,
    chain_workers,
    payments_workers,
    posting_workers,
    windows_workers,
)
from streams.embedded.state import ProcessRecord, StateDirectory

PARTITIONS = 4
PAYMENT_RULES: Mapping[str, float] = {
    "answer_s": 2,
    "outcome_s": 5,
    "backoff_s": 0.3,
    "backoff_s_max": 2,
    "not_found_grace_s": 2,
    "unknown_s_max": 120,
    "retry_after_s_max": 5,
}
SESSION_S = 4.0
NEARLY_S = 2.0
"""The lag counts as gone when no more waits than what comes in this time."""

MINUTES_KEPT_H = 0.25
"""Windows age within a run: in one of an hour they are as many as they will ever be for most of it."""

QUIET_S = 90.0
COMMAND_S = 120.0
POSTING, WINDOWS, PAYING, CHAINING = "worker-", "windows-", "payments-", "chain-"
MAKERS = {
    POSTING: posting_workers,
    WINDOWS: windows_workers,
    PAYING: payments_workers,
    CHAINING: chain_workers,
}
AGAIN_S = 1.0
_EXTRA_FROM = 10
POSTGRES = "postgres"
GOING_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asking a PostgreSQL raises that ends just then."""
_OPEN_PAYMENTS = "select count(*) from payments where due_at is not null"
_OPEN_HOLDS = "select count(*) from holds where state = 'open' and expires_at is not null"


class StageError(RuntimeError):
    """The stage is not as a fault relies on."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a scene needs; `kafka`, `postgres` and `settings` differ from what the stage has by itself.

    `share` is how much of the usual time and number each fault takes; `spares`, that no fault ends the first worker of
    a kind: what it uses is then seen over all of the run.
    """

    brokers: int = 1
    posting: int = 2
    windows: int = 1
    payments: int = 1
    chain: int = 1
    rate: float = 300.0
    seed: int = 1
    share: float = 1.0
    spares: bool = False
    host: str = LOOPBACK
    kafka: Mapping[str, object] = field(default_factory=dict)
    postgres: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a command."""

    code: int
    printed: str
    said: str

    def checked(self, *codes: int) -> "Ran":
        """Give it back if it ended so; raises StageError."""
        if self.code not in (codes or (0,)):
            raise StageError(f"exit code {self.code}: {self.printed[-1500:]}{self.said[-1500:]}")
        return self


class Stage:
    """Everything that a fault may touch."""

    def __init__(self, state: StateDirectory, wishes: Wishes, brokers_: Sequence[Broker]) -> None:
        self.state = state
        self.wishes = wishes
        self.brokers = brokers_
        self.crew = Crew(state)
        self.kafka = ",".join(each.direct for each in brokers_)
        self.server = postgres(state, wishes.postgres)
        self.postgres_dsn = self.server.dsn
        self.http = aiohttp.ClientSession()
        own = {"postgres": address_in(self.postgres_dsn), "provider": (LOOPBACK, state.port(PROVIDER))}
        self.proxies = {
            **{each.part.name: each.proxy for each in brokers_},
            **{name: Proxy(name, (wishes.host, state.port(f"{name}-proxy")), at) for name, at in own.items()},
        }
        self.settings = _settings(self, self.kafka, self.postgres_dsn)
        through = ",".join(each.proxy.address for each in brokers_)
        proxied_dsn = moved(self.postgres_dsn, self.proxies["postgres"].listens)
        self.program_settings = _settings(self, through, proxied_dsn)
        self.groups = {
            self.settings.posting_group: self.settings.payments_topic,
            self.settings.windows_group: self.settings.entries_topic,
            self.settings.payments_group: self.settings.outcomes_topic,
            self.settings.chain_group: self.settings.outcomes_topic,
        }
        self.watch = Watch(Gauge(self.kafka, self.groups, PARTITIONS))
        self.load: Load
        self.reading: Reading
        self.keys: dict[str, str] = {}
        self.primary = POSTGRES
        self._number = 0

    # Processes

    def processes(self) -> Sequence[ProcessRecord]:
        """Every process of the stage."""
        return self.crew.processes()

    def url(self, name: str) -> str:
        """Where a process speaks HTTP."""
        return self.crew.record(name).url or ""

    def restarts(self) -> dict[str, int]:
        """How often each process was started again."""
        return {each.name: each.restarts for each in self.crew.processes() if "-extra-" not in each.name}

    def part(self, kind: str, number: int) -> Part:
        """A worker of a kind, as a part."""
        return self.told(MAKERS[kind](number)[-1])

    async def another(
        self,
        kind: str,
        environment: Mapping[str, str] | None = None,
        *,
        prefix: Sequence[str] = (),
        directory: Path | None = None,
    ) -> Extra:
        """Start one more worker, which nobody starts again: by a prefix of its command, in a directory."""
        part = self.part(kind, _EXTRA_FROM + self.next_number())
        return await self.crew.beside(replace(part, directory=directory), environment or {}, prefix)

    def victims(self, kind: str) -> list[str]:
        """Name the workers of a kind that a fault may end."""
        names = self.crew.names(kind)
        return names[1:] if self.wishes.spares else names

    def some(self, count: int) -> int:
        """Give the share of a number, but one at least."""
        return max(1, round(count * self.wishes.share))

    def lasting(self, seconds: float) -> float:
        """Give the share of a time."""
        return seconds * self.wishes.share

    def next_number(self) -> int:
        """Give a number that nothing of this stage was given before."""
        self._number += 1
        return self._number

    async def die_at(self, kind: str, point: str, within_s: float = 60.0) -> str:
        """Start one more worker, which dies at a crash point; raises CrewError if it does not come there.

        One that ends because another fault has taken away what it needs to begin is started again, as by whoever
        keeps workers up; raises DownError if that is so to the end.
        """
        ends = monotonic() + within_s
        while True:
            extra = await self.another(kind, {"LEDGER_CRASH": point})
            try:
                code = await extra.exit_code(max(1.0, ends - monotonic()))
            finally:
                await extra.end(signal.SIGKILL)
            if code == EXIT_CODE:
                return f"{point} → {code}"
            if code != SERVICE_AWAY or monotonic() > ends:
                why = DownError if code == SERVICE_AWAY else CrewError
                raise why(f"{extra.name} ended with {code} instead of dying at {point}:\n{extra.log}")
            await asyncio.sleep(AGAIN_S)

    def told(self, program: Program) -> Part:
        """Give a program as a part that is told everything about this stage."""
        part = program(self.state, self.program_settings)
        return replace(part, environment={**part.environment, **environment_of(self.program_settings)})

    # Servers

    async def kill_server(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a server a signal that ends it, and wait until it is back."""
        before = self.crew.record(name).restarts
        self.crew.send(name, number)
        await self.crew.until_restarted(name, before)

    @property
    def dsn(self) -> str:
        """Where the books are now, directly."""
        return moved(self.postgres_dsn, self.proxies["postgres"].server)

    @asynccontextmanager
    async def connection(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        """Connect to the books as their owner, directly."""
        async with self._connected(self.dsn) as connection:
            yield connection

    @asynccontextmanager
    async def _connected(self, dsn: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        connection = await asyncpg.connect(
            dsn,
            server_settings={"search_path": self.settings.postgres_schema, "application_name": "chaos"},
            timeout=10,
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def sql(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Ask the books as their owner."""
        return await self.sql_at(self.dsn, query, *arguments)

    async def sql_at(self, dsn: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Ask other books, or a standby."""
        async with self._connected(dsn) as connection:
            return list(await connection.fetch(query, *arguments))

    def data_of(self, server: str) -> Path:
        """Where a PostgreSQL of this stage has its data."""
        home = self.state if server == POSTGRES else StateDirectory(self.state.path / server)
        return home.postgres / "data"

    async def follow(self, rules: Sequence[dict[str, Any]], **more: Any) -> None:
        """Give the provider a script; webhooks are sent as the rules say."""
        webhooks = f"{self.url('api')}/v1/providers/simulated/webhooks"
        script = {"seed": self.wishes.seed, "rules": rules, "webhook_url": webhooks, **more}
        async with self.http.post(f"{self.url(PROVIDER)}/script", json=script) as answer:
            if answer.status != 200:
                raise StageError(f"the provider takes no such script: {await answer.text()}")

    # What it says

    async def ledger(self, *arguments: str, within_s: float = COMMAND_S) -> Ran:
        """Run a command of the ledger as its owner; raises TimeoutError."""
        environment = {**os.environ, **environment_of(self.settings), "LEDGER_STATE_DIR": str(self.state)}
        environment["LEDGER_POSTGRES_DSN"] = self.dsn
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streams.cli", *arguments, env=environment, stdout=PIPE, stderr=PIPE
        )
        try:
            async with asyncio.timeout(within_s):
                printed, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Ran(process.returncode or 0, printed.decode(), said.decode())

    def logged(self, names: str, words: str) -> int:
        """Count how often those whose names are of a pattern have said something so far."""
        logs = self.state.logs.glob(f"{names}.log")
        return sum(log.read_bytes().count(words.encode()) for log in logs)

    # Time

    async def until_recovered(self, within_s: float) -> float:
        """Wait until all that was there is handled and hardly more waits; says how long that took.

        Where something is being sent, the broker must have taken some of it: nothing lags behind a load that stands
        still. Raises StageError with the lag that was left.
        """
        begun, taken = monotonic(), self.load.told.acknowledged
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                ends = (await self.watch.fresh(within_s)).ends or {}
                while not self._is_recovered(await self.watch.fresh(within_s), ends, taken):
                    pass
                return monotonic() - begun
        more = self.load.told.acknowledged - taken
        raise StageError(
            f"not recovered within {within_s:g} s: lag {self.watch.said}, {more:,} more acknowledged"
        )

    def _is_recovered(self, sample: Sample, ends: Mapping[str, list[int]], taken: int) -> bool:
        most = max(200.0, NEARLY_S * self.load.rate * len(ends))
        is_fed = not self.load.rate or self.load.told.acknowledged > taken
        return is_fed and sample.has_done(ends) and (sample.lag or 0) <= most

    async def until_quiet(self, within_s: float = QUIET_S) -> float:
        """Send nothing more, and wait until nothing is left to do; says how long that took. Raises StageError."""
        begun = monotonic()
        self.load.rest()
        await self.load.until_acknowledged(within_s)
        left: dict[str, Any] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while left := await self._left(within_s):  # noqa: ASYNC110 - another process has no event
                    await asyncio.sleep(0.5)
                return monotonic() - begun
        raise StageError(f"not quiet within {within_s:g} s: {left or self.watch.said}")

    async def _left(self, within_s: float) -> dict[str, Any]:
        sample = await self.watch.fresh(within_s)
        with suppress(*GOING_AWAY):
            payments, holds = [(await self.sql(query))[0][0] for query in (_OPEN_PAYMENTS, _OPEN_HOLDS)]
            left = {"records": sample.lag, "payments": payments, "holds": holds}
            return {name: count for name, count in left.items() if count}
        return {"postgres": "away"}


def _settings(stage: Stage, kafka: str, dsn: str) -> Settings:
    wishes = stage.wishes
    changes: dict[str, Any] = {
        "kafka_bootstrap": kafka,
        "postgres_dsn": dsn,
        "state_dir": stage.state.path,
        "partitions": PARTITIONS,
        "replication_factor": 3 if wishes.brokers >= 3 else 1,
        "windows_workers": wishes.windows,
        "session_timeout_s": SESSION_S,
        "windows_minutes_kept_h": MINUTES_KEPT_H,
        "log_level": "info",
        "payment_rules": dict(PAYMENT_RULES),
        "redis_url": _redis_url(stage.state),
        **wishes.settings,
    }
    known = {name: value for name, value in changes.items() if value is not None}
    return Settings.model_validate(known)


def _redis_url(state: StateDirectory) -> str | None:
    return f"redis://{LOOPBACK}:{state.port('redis')}/0" if redis_program() else None
