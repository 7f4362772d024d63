"""The load as the supervisor has it: a sender in a process of its own, whose pace it changes."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from math import inf
from pathlib import Path

import msgspec

from loadtests.chaos.sender import Order, Pace, Told
from loadtests.chaos.traffic import USUAL

LINE_BYTES_MAX = 1024 * 1024
OPENED_S = 120.0
PRESSING_TIMES = 4.0


class LoadError(RuntimeError):
    """The sender ended, or does not do what it was told."""


class Load:
    """What is being sent."""

    def __init__(self, process: Process, rate: float) -> None:
        self._process = process
        self.usual = rate
        self.most = inf
        self.rate = 0.0
        self.told = Told(0, 0, 0, opened=False)
        self._opened = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    def begin(self) -> None:
        """Send at the usual pace, the usual things."""
        self.pace()

    def pace(self, *, times: float = 1.0, weights: Mapping[str, float] | None = None) -> None:
        """Send so many times as fast as usual, and other kinds than usual."""
        self.rate = self.usual * times
        pace = Pace(self.rate, {**USUAL, **(weights or {})})
        if self._process.stdin is None or self._process.returncode is not None:
            raise LoadError("the sender has ended")
        self._process.stdin.write(msgspec.json.encode(pace) + b"\n")

    def press(self) -> None:
        """Send four times as fast as usual, but no more than what is known to be the most that can be done here."""
        self.pace(times=min(PRESSING_TIMES, self.most / self.usual))

    def rest(self) -> None:
        """Send nothing."""
        self.pace(times=0.0)

    async def until_opened(self) -> None:
        """Wait until the opening was acknowledged; raises LoadError."""
        try:
            async with asyncio.timeout(OPENED_S):
                await self._opened.wait()
        except TimeoutError:
            raise LoadError("the opening was not sent") from None

    async def until_acknowledged(self, within_s: float) -> None:
        """Wait until the broker has answered all; the pace must be zero. Raises LoadError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                before = -1
                while self.told.sent != before or self.told.sent > self.told.acknowledged + self.told.failed:
                    before = self.told.sent
                    await asyncio.sleep(0.6)
                return
        raise LoadError(f"the broker has not answered all: {self.told}")

    async def end(self) -> Told:
        """End the sender; gives what it said last."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
        await self._reading
        return self.told

    async def _read(self) -> None:
        if self._process.stdout is None:
            raise LoadError("the sender has no output")
        while line := await self._process.stdout.readline():
            self.told = msgspec.json.decode(line, type=Told)
            if self.told.opened:
                self._opened.set()


@asynccontextmanager
async def loading(order: Order, rate: float) -> AsyncIterator[Load]:
    """Start a sender, which is gone afterwards; it sends the opening by itself, and then waits."""
    command = (sys.executable, "-m", "loadtests.chaos.sender")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=LINE_BYTES_MAX)
    if process.stdin is None:
        raise LoadError("the sender has no input")
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    try:
        yield Load(process, rate)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def truth_in(directory: Path) -> Path:
    """Where the truth of a scene is."""
    return directory / "sent.jsonl"
