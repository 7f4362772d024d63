"""The processes of a stage: kept alive by name, signalled, stopped for good, and such as live beside them once."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from ledger.observability.signals import Signals
from streams.embedded.keeper import Keeper, Patience
from streams.embedded.part import Part, is_ready
from streams.embedded.processes import spawn, tail
from streams.embedded.state import ProcessRecord, StateDirectory

PATIENCE = Patience(backoff_s=0.2, backoff_max_s=1.0, steady_probe_s=1.0)
END_S = 20.0


class CrewError(RuntimeError):
    """A process did not do what a fault relies on."""


class DownError(CrewError):
    """A process that a signal is for is down just now."""


class Extra:
    """A process that is started once, and by nobody again."""

    def __init__(self, name: str, process: Process, state: StateDirectory, part: Part) -> None:
        self.name = name
        self.part = part
        self._process = process
        self._state = state

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit code, less than zero for a signal; none while it lives."""
        return self._process.returncode

    @property
    def log(self) -> str:
        """The end of what it said."""
        return tail(self._state.log(self.name))

    async def exit_code(self, within_s: float) -> int:
        """Wait for its end; raises CrewError."""
        try:
            async with asyncio.timeout(within_s):
                return await self._process.wait()
        except TimeoutError:
            raise CrewError(f"{self.name} did not end within {within_s:g} s:\n{self.log}") from None

    async def until_ready(self, within_s: float) -> None:
        """Wait until it is ready; raises CrewError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.ended is None and not await is_ready(self.part.ready):  # noqa: ASYNC110 - another process has no event
                    await asyncio.sleep(0.1)
                if self.ended is None:
                    return
        raise CrewError(f"{self.name} was not ready within {within_s:g} s ({self.ended}):\n{self.log}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.ended is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for its end; kill it when it does not come."""
        self.send(number)
        with suppress(CrewError):
            return await self.exit_code(END_S)
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        return await self.exit_code(END_S)


class Crew:
    """All processes of one state directory."""

    def __init__(self, state: StateDirectory, patience: Patience = PATIENCE) -> None:
        self._state = state
        self._patience = patience
        self._keepers: dict[str, Keeper] = {}
        self._ranks: list[list[str]] = []
        self._extras: list[Extra] = []
        self._made = 0

    def processes(self) -> Sequence[ProcessRecord]:
        """Every process that is kept alive, and every other that lives."""
        kept = [keeper.record() for keeper in self._keepers.values()]
        beside = [
            ProcessRecord(name=each.name, pid=each.pid, ready=True, restarts=0)
            for each in self._extras
            if each.ended is None
        ]
        return (*kept, *beside)

    def names(self, beginning: str) -> list[str]:
        """The names of those that are kept alive and begin so, in order."""
        return sorted(name for name in self._keepers if name.startswith(beginning))

    def record(self, name: str) -> ProcessRecord:
        """What one is now; raises KeyError."""
        return self._keepers[name].record()

    async def start(self, *parts: Part) -> None:
        """Start parts together, and keep them alive; returns when all are ready."""
        keepers = {part.name: self._keeper(part) for part in parts}
        self._keepers.update(keepers)
        self._ranks.append(list(keepers))
        await asyncio.gather(*(keeper.start() for keeper in keepers.values()))

    async def stop(self, *names: str) -> list[Part]:
        """Stop some for good; gives their parts, to start them again with."""
        keepers = [self._keepers.pop(name) for name in names]
        await asyncio.gather(*(keeper.stop() for keeper in keepers))
        return [keeper.part for keeper in keepers]

    async def drop(self, name: str, number: signal.Signals = signal.SIGKILL) -> Part:
        """Send a last signal to one, and start it no more."""
        self.send(name, number)
        return (await self.stop(name))[0]

    def send(self, name: str, number: signal.Signals) -> int:
        """Send a signal to one that is kept alive; gives its pid. Raises DownError."""
        pid = self.record(name).pid
        if pid is None:
            raise DownError(f"{name} is down")
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return pid

    async def until_ready(self, name: str, within_s: float = 60.0) -> None:
        """Wait until one is ready; raises CrewError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self.record(name).ready:  # noqa: ASYNC110 - another process has no event
                    await asyncio.sleep(0.1)
                return
        raise CrewError(f"{name} was not ready within {within_s:g} s:\n{tail(self._state.log(name))}")

    async def until_restarted(self, name: str, restarts: int, within_s: float = 60.0) -> None:
        """Wait until one was started again more than so often, and is ready; raises CrewError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while (found := self.record(name)).restarts <= restarts or not found.ready:  # noqa: ASYNC110 - another process has no event
                    await asyncio.sleep(0.1)
                return
        raise CrewError(f"{name} did not come back within {within_s:g} s:\n{tail(self._state.log(name))}")

    async def beside(self, part: Part, environment: Mapping[str, str], prefix: Sequence[str] = ()) -> Extra:
        """Start one more process of a part, with changes to its environment; `prefix` runs its command."""
        self._made += 1
        name = f"{part.name}-extra-{self._made}"
        made = replace(part, name=name, environment={**part.environment, **environment})
        process = await spawn(self._state, made, [*prefix, *await part.command()])
        extra = Extra(name, process, self._state, part)
        self._extras.append(extra)
        return extra

    async def close(self) -> None:
        """End everything: those beside first, then in the reverse of the order in which they were started."""
        await asyncio.gather(*(each.end(signal.SIGKILL) for each in self._extras))
        for names in reversed(self._ranks):
            left = [name for name in names if name in self._keepers]
            for name in left:
                with suppress(CrewError):
                    self.send(name, signal.SIGCONT)
            await self.stop(*left)

    def _keeper(self, part: Part) -> Keeper:
        return Keeper(part, self._state, Signals(), lambda: None, self._patience)
