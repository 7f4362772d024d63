"""An event loop with virtual time, in which several processes live: each can be stopped, continued and killed.

A process is its context: every task and callback that it begins carries it on. Inside a process things run in the order
in which they became ready, as in a real event loop; which process runs next is drawn. What a killed process has left
never runs again, as after kill -9: no `finally`, no callback.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any

STEPS_MAX = 2_000_000


class EndlessError(Exception):
    """The simulation ran for more steps than any run needs."""


class KilledError(BaseException):
    """This process ended here; nobody may catch it."""


class Process:
    """One process of the simulation, or one run of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.is_stopped = False
        self.ready: deque[asyncio.Handle] = deque()
        self.context = copy_context()
        self.context.run(_current.set, self)


_current: ContextVar[Process | None] = ContextVar("process", default=None)


def current_process() -> Process | None:
    """Give the process whose code runs now; none: the world outside."""
    return _current.get()


class VirtualLoop(asyncio.BaseEventLoop):
    """Time goes on when nothing is ready, to the next timer."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._serial = 0
        self._outside = Process("outside")
        self._runnable: dict[Process, None] = {}
        self.steps = 0
        self.set_exception_handler(self._note)
        self.faults: list[str] = []

    # What asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._make_ready(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + max(0.0, delay), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._serial += 1
        heapq.heappush(self._timers, (when, self._serial, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody is outside this thread."""

    def _run_once(self) -> None:
        if not self._runnable:
            self._wait()
        if self._runnable:
            self._run_next()

    # Processes

    def begin(self, process: Process, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a task of a process."""
        return self.create_task(work, context=process.context.copy())

    def stop_process(self, process: Process) -> None:
        """As SIGSTOP does: what becomes ready waits."""
        process.is_stopped = True
        self._runnable.pop(process, None)

    def continue_process(self, process: Process) -> None:
        """As SIGCONT does."""
        process.is_stopped = False
        if process.ready and not process.is_dead:
            self._runnable[process] = None

    def kill(self, process: Process) -> None:
        """As kill -9 does."""
        process.is_dead = True
        self._runnable.pop(process, None)

    def _make_ready(self, handle: asyncio.Handle) -> None:
        process = handle._context.get(_current) or self._outside  # type: ignore[attr-defined]
        if process.is_dead:
            # Kept, so that nothing of it is ended by the collector of garbage in the middle of the run.
            process.ready.append(handle)
            return
        process.ready.append(handle)
        if not process.is_stopped:
            self._runnable[process] = None

    def _wait(self) -> None:
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            raise EndlessError("nothing will ever happen again")
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled():
                self._make_ready(timer)

    def _run_next(self) -> None:
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise EndlessError(f"{STEPS_MAX} steps")
        runnable = list(self._runnable)
        process = runnable[0] if len(runnable) == 1 else runnable[self._chance.randrange(len(runnable))]
        handle = process.ready.popleft()
        if not process.ready:
            del self._runnable[process]
        if not handle.cancelled():
            handle._run()

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        fault = context.get("exception")
        if not isinstance(fault, KilledError):
            self.faults.append(f"{context['message']}: {fault!r}")

    # The end

    def bury(self, tasks: set[asyncio.Task[Any]]) -> None:
        """Leave unfinished tasks alone, quietly: their processes are over."""
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
