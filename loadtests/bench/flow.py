"""A stream that is sent by a schedule and observed: two processes of their own, and what they tell."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import msgspec

from loadtests.bench.orders import Observed, Order, Probe, Ready, Seen, Sent, Told, tell_sent, told
from loadtests.bench.results import Point
from loadtests.bench.windows_probe import WindowsProber

START_IN_S = 0.5
PATIENCE_S = 60.0
"""How long after the last was sent outcomes are waited for."""

LINE_BYTES_MAX = 64 * 1024**2

Watch = Callable[[Seen], bool]
"""Is told how far the observer is; True: send no more."""


class FlowError(RuntimeError):
    """A process of the flow ended without its result; what it said is on the standard error."""


@dataclass(slots=True)
class Flown:
    """What came of a flow."""

    order: Order
    start: float
    sent: Sent
    observed: Observed
    prober: WindowsProber | None
    curve: list[Seen]

    def lag(self) -> list[Point]:
        """Records that were due and whose outcome was not seen, over time; of the timed ones, scaled up."""
        schedule, every = self.order.schedule, self.order.sample_every
        return [
            Point(seen.at_s, max(0, min(schedule.due_by(seen.at_s), self.sent.sent) - seen.seen * every))
            for seen in self.curve
        ]

    def rates(self, every_s: float = 1.0) -> list[Point]:
        """Outcomes seen a second, over time."""
        found, last = [], Seen(0.0, 0, 0)
        for seen in self.curve:
            if seen.at_s - last.at_s >= every_s:
                rate = (seen.seen - last.seen) * self.order.sample_every / (seen.at_s - last.at_s)
                found.append(Point(seen.at_s, rate))
                last = seen
        return found

    def faults(self) -> list[str]:
        """What went wrong: what was not seen would have the longest latencies, so it must not be left out."""
        found = {
            "records were not taken by Kafka": self.sent.failed,
            f"outcomes were not seen within {PATIENCE_S:.0f} s": self.observed.missing,
            "entries were not seen in the windows": self.prober.missing if self.prober else 0,
        }
        return [f"{count:,} {what}" for what, count in found.items() if count]


async def flow(
    order: Order,
    prober: WindowsProber | None = None,
    watch: Watch | None = None,
    at_start: Callable[[], None] = lambda: None,
) -> Flown:
    """Send an order, and observe it to its end; raises FlowError. Nothing is left running.

    `at_start` is called when all is prepared, right before the first record is due.
    """
    async with _process("observer") as observer, _process("sender") as sender:
        flowing = _Flow(order, observer, sender, prober, watch)
        await flowing.prepare()
        at_start()
        return await flowing.run()


class _Flow:
    def __init__(
        self,
        order: Order,
        observer: Process,
        sender: Process,
        prober: WindowsProber | None,
        watch: Watch | None,
    ) -> None:
        self._order = order
        self._observer = observer
        self._sender = sender
        self._prober = prober
        self._watch = watch
        self._start = 0.0
        self._curve: list[Seen] = []

    async def run(self) -> Flown:
        """Say when it starts, and wait for the end."""
        self._start = time.time() + START_IN_S
        for process in (self._observer, self._sender):
            _write(process, b"%.6f\n" % self._start)
        observing = asyncio.create_task(self._observe())
        try:
            sent = await _result(self._sender)
            _write(self._observer, tell_sent(sent.sent))
            await self._in_time(observing)
            observed = await observing
        finally:
            observing.cancel()
        if self._prober is not None:
            await self._prober.close()
        return Flown(self._order, self._start, sent, observed, self._prober, self._curve)

    async def prepare(self) -> None:
        """Have both make ready."""
        both, line = (self._observer, self._sender), msgspec.json.encode(self._order) + b"\n"
        for process in both:
            _write(process, line)
        for process in both:
            await _ready(process)

    async def _observe(self) -> Observed:
        async for each in _lines(self._observer):
            match each:
                case Seen():
                    self._curve.append(each)
                    self._judge(each)
                case Probe():
                    if self._prober is not None:
                        self._prober.look(each, self._start)
                case Observed():
                    return each
                case _:
                    raise FlowError(f"the observer said {each}")
        raise FlowError("the observer ended without a result")

    def _judge(self, seen: Seen) -> None:
        if self._watch is not None and self._sender.returncode is None and self._watch(seen):
            self._sender.terminate()

    async def _in_time(self, observing: "asyncio.Task[Observed]") -> None:
        """Wait until the observer has seen all, or tell it to give up."""
        done, _ = await asyncio.wait({observing}, timeout=PATIENCE_S)
        if not done and self._observer.stdin is not None:
            self._observer.stdin.close()
        await asyncio.wait({observing}, timeout=PATIENCE_S)
        if not observing.done():
            raise FlowError("the observer does not end")


async def _result(sender: Process) -> Sent:
    async for each in _lines(sender):
        if isinstance(each, Sent):
            return each
    raise FlowError("the sender ended without a result")


async def _ready(process: Process) -> None:
    async for each in _lines(process):
        if isinstance(each, Ready):
            return
    raise FlowError("a process of the flow did not start")


async def _lines(process: Process) -> AsyncIterator[Told]:
    if process.stdout is None:
        raise FlowError("the process has no output")
    while line := await process.stdout.readline():
        yield told(line)


def _write(process: Process, line: bytes) -> None:
    if process.stdin is None:
        raise FlowError("the process has no input")
    process.stdin.write(line)


@asynccontextmanager
async def _process(name: str) -> AsyncIterator[Process]:
    """Start one, which is gone afterwards."""
    command = (sys.executable, "-m", f"loadtests.bench.{name}")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=LINE_BYTES_MAX)
    try:
        yield process
    finally:
        if process.returncode is None:
            if process.stdin is not None:
                process.stdin.close()
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
