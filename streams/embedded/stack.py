"""The embedded stack: which parts it has, in which order they start, and what is done in between."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.embedded.errors import EmbeddedError
from streams.embedded.kafka import OPEN, KafkaServer
from streams.embedded.keeper import Patience
from streams.embedded.part import Part
from streams.embedded.postgres import PostgresServer
from streams.embedded.processes import sweep
from streams.embedded.programs import Program
from streams.embedded.state import ProcessRecord, StackRecord, StateDirectory, unusable
from streams.embedded.supervisor import Supervisor

Preparation = Callable[[Settings], Awaitable[object]]


class EmbeddedStack:
    """Kafka and PostgreSQL, then preparations, then whatever stands on them; stopped in reverse.

    An address in `settings` stands for a server that runs already: the stack then has no part for it.
    `kafka=False` or `postgres=False` leaves one out altogether. The preparations and then the programs get
    settings with both addresses filled in.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        settings: Settings | None = None,
        kafka: bool = True,
        postgres: bool = True,
        preparations: Sequence[Preparation] = (),
        programs: Sequence[Program] = (),
        signals: Signals | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.state = StateDirectory(state_dir)
        self.settings = (settings or Settings()).model_copy(update={"state_dir": self.state.path})
        self._wanted = (
            kafka and not self.settings.kafka_bootstrap,
            postgres and not self.settings.postgres_dsn,
        )
        self._preparations = preparations
        self._programs = programs
        self._signals = signals or Signals()
        self._supervisor = Supervisor(self.state, self._signals, self._save, patience)
        self._phase = "stopped"
        self._held = ExitStack()

    @property
    def kafka(self) -> str:
        """Kafka's bootstrap address; raises EmbeddedError when the stack has none."""
        return _present(self.settings.kafka_bootstrap, "Kafka")

    @property
    def postgres_dsn(self) -> str:
        """PostgreSQL's address; raises EmbeddedError when the stack has none."""
        return _present(self.settings.postgres_dsn, "PostgreSQL")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def processes(self) -> tuple[ProcessRecord, ...]:
        """Every process of the stack as it is now."""
        return self._supervisor.records()

    async def start(self) -> None:
        """Start everything; raises EmbeddedError, with nothing left running."""
        self.state.make()
        self._held.enter_context(self.state.lock())
        try:
            await self._start()
        except BaseException as error:
            await self._fail(error)
            raise
        self._enter("ready")

    async def stop(self) -> None:
        """Stop everything; no process is left."""
        self._enter("stopping")
        await self._end("stopped")

    async def _start(self) -> None:
        self._enter("starting")
        try:
            await asyncio.to_thread(sweep, self.state)
            await self._supervisor.start(*self._servers())
            for prepare in self._preparations:
                await prepare(self.settings)
            await self._supervisor.start(*(make(self.state, self.settings) for make in self._programs))
        except OSError as error:
            raise unusable(self.state.path, error) from error

    def _servers(self) -> list[Part]:
        """Kafka and PostgreSQL as far as they are wanted; from here on their addresses are known."""
        wants_kafka, wants_postgres = self._wanted
        parts: list[Part] = []
        if wants_kafka:
            kafka = KafkaServer(self.state, self._fetched)
            self._learn(kafka_bootstrap=kafka.bootstrap, **OPEN)
            parts.append(kafka.part())
        if wants_postgres:
            postgres = PostgresServer(self.state)
            self._learn(postgres_dsn=postgres.dsn)
            parts.append(postgres.part())
        return parts

    def _learn(self, **addresses: str | None) -> None:
        self.settings = self.settings.model_copy(update=addresses)

    def _fetched(self, done: int, total: int) -> None:
        self._signals.emit("artifacts.fetched", done=done, total=total)

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._save()

    def _save(self, error: EmbeddedError | None = None) -> None:
        try:
            self.state.write(self._record(error))
        except OSError as fault:
            # A full disk must not end the supervision; `status` then shows what was last written.
            self._signals.emit("state.not_saved", error=str(fault))

    def _record(self, error: EmbeddedError | None) -> StackRecord:
        return StackRecord(
            phase=self._phase,
            kafka=self.settings.kafka_bootstrap,
            postgres=self.settings.postgres_dsn,
            error=error.sentence if error else None,
            hint=error.hint if error else None,
            processes=self._supervisor.records(),
        )

    async def _fail(self, error: BaseException) -> None:
        self._phase = "stopping"
        await self._end("failed", error if isinstance(error, EmbeddedError) else None)

    async def _end(self, phase: str, error: EmbeddedError | None = None) -> None:
        try:
            await self._supervisor.stop()
            await asyncio.to_thread(sweep, self.state)
            self._phase = phase
            self._save(error)
        finally:
            self._held.close()


def _present(address: str | None, server: str) -> str:
    if address is None:
        raise EmbeddedError(f"This stack runs without {server}.")
    return address
