"""Keeps one part alive: starts it, watches it, and starts it again when it dies."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ledger.observability.signals import Signals
from streams.embedded.errors import EmbeddedError, PartFailedError
from streams.embedded.part import Part, is_ready
from streams.embedded.processes import created, spawn, tail
from streams.embedded.state import ProcessRecord, StateDirectory


@dataclass(frozen=True, slots=True)
class Patience:
    """How restarts are spaced, how often readiness is asked, how many early deaths are too many."""

    backoff_s: float = 0.2
    backoff_max_s: float = 10.0
    healthy_s: float = 30.0
    starting_probe_s: float = 0.1
    steady_probe_s: float = 5.0
    early_deaths_max: int = 3

    def wait_s(self, deaths: int) -> float:
        """How long to wait after so many deaths in a row."""
        return float(min(self.backoff_s * 2.0 ** min(deaths - 1, 30), self.backoff_max_s))


class Keeper:
    """The life of one part under supervision."""

    def __init__(
        self,
        part: Part,
        state: StateDirectory,
        signals: Signals,
        changed: Callable[[], None],
        patience: Patience,
    ) -> None:
        self.part = part
        self._state = state
        self._signals = signals
        self._changed = changed
        self._patience = patience
        self._process: Process | None = None
        self._ready = asyncio.Event()
        self._was_ready = False
        self._restarts = 0
        self._deaths = 0
        self._life: asyncio.Task[None] | None = None

    def record(self) -> ProcessRecord:
        """What `ledger status` tells about the part now."""
        pid = self._process.pid if self._process else None
        return ProcessRecord(
            name=self.part.name,
            pid=pid,
            ready=self._ready.is_set(),
            restarts=self._restarts,
            created=created(pid) if pid else None,
            url=self.part.url,
        )

    async def start(self) -> None:
        """Start the part and return when it is ready; raises EmbeddedError when it does not come up."""
        self._signals.emit("part.starting", name=self.part.name)
        self._life = asyncio.create_task(self._live(), name=f"keep {self.part.name}")
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait((self._life, ready), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._life.done():
            await self._life

    async def stop(self) -> None:
        """Stop the part and start it no more."""
        if self._life is None:
            return
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)
        self._signals.emit("part.stopped", name=self.part.name)

    async def _live(self) -> None:
        try:
            while True:
                await self._one_life()
                await asyncio.sleep(self._patience.wait_s(self._deaths))
                self._restarts += 1
        finally:
            await self._end()

    async def _one_life(self) -> None:
        """From a start to a death; raises EmbeddedError when the part dies without ever having been ready."""
        began = asyncio.get_running_loop().time()
        cause = await self._run()
        lived_s = asyncio.get_running_loop().time() - began
        self._deaths = 1 if lived_s > self._patience.healthy_s else self._deaths + 1
        self._signals.emit("part.died", name=self.part.name, cause=cause)
        if not self._was_ready and self._deaths >= self._patience.early_deaths_max:
            raise self._failure(f"died {self._deaths} times before it was ready ({cause})")

    async def _run(self) -> str:
        """Start the process and wait for its end; why it ended."""
        try:
            self._process = await spawn(self._state, self.part, await self.part.command())
        except (EmbeddedError, OSError) as error:
            if not self._was_ready:
                raise
            return str(error)
        return await self._watched(self._process)

    async def _watched(self, process: Process) -> str:
        self._changed()
        watch = asyncio.create_task(self._watch())
        end = asyncio.create_task(process.wait())
        try:
            await asyncio.wait((watch, end), return_when=asyncio.FIRST_COMPLETED)
            return f"exit code {end.result()}" if end.done() else self._hung(watch)
        finally:
            watch.cancel()
            end.cancel()
            await self._end()

    async def _watch(self) -> None:
        """Follow the part's readiness without end; raises PartFailedError when it is not ready in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.part.start_timeout_s):
                while not await is_ready(self.part.ready):  # noqa: ASYNC110 - another process has no event
                    await asyncio.sleep(self._patience.starting_probe_s)
                self._turn(ready=True)
        if not self._ready.is_set():
            raise self._failure(f"was not ready after {self.part.start_timeout_s:g} s")
        while True:
            await asyncio.sleep(self._patience.steady_probe_s)
            self._turn(ready=await is_ready(self.part.ready))

    def _hung(self, watch: asyncio.Task[None]) -> str:
        fault = watch.exception()
        if fault is not None and not self._was_ready:
            raise fault
        return f"hung: {fault}"

    def _turn(self, *, ready: bool) -> None:
        if ready == self._ready.is_set():
            return
        (self._ready.set if ready else self._ready.clear)()
        self._was_ready = self._was_ready or ready
        self._signals.emit("part.ready" if ready else "part.unready", name=self.part.name)
        self._changed()

    async def _end(self) -> None:
        """End the process if it lives: politely, then by force."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            await self._terminate(process)
        self._turn(ready=False)
        self._changed()

    async def _terminate(self, process: Process) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(self.part.stop_signal)
        try:
            async with asyncio.timeout(self.part.stop_timeout_s):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _failure(self, what: str) -> PartFailedError:
        log = self._state.log(self.part.name)
        return PartFailedError(f"{self.part.name} {what}.", f"The end of {log}:\n{tail(log)}")
