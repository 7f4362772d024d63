"""The network: calls take their time both ways, and what was sent arrives whatever becomes of its sender."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from functools import partial
from random import Random
from typing import Any, TypeVar

from tests.simulation.loop import KilledError, Process, VirtualLoop, current_process

Answer = TypeVar("Answer")
Work = Callable[..., Coroutine[Any, Any, Answer]]


class Network:
    """Between processes and servers. `slow` stretches the way to a server by a factor."""

    def __init__(self, loop: VirtualLoop, chance: Random) -> None:
        self.loop = loop
        self._chance = chance
        self._outside = Process("servers")
        self.slow: dict[str, float] = {}
        self.is_over = False

    def latency(self, server: str) -> float:
        """Draw how long one way takes, in seconds: mostly a millisecond, now and then much longer."""
        seconds = self._chance.expovariate(1000.0)
        if self._chance.random() < 0.02:
            seconds += self._chance.uniform(0.0, 0.3)
        return seconds * self.slow.get(server, 1.0)

    @property
    def outside(self) -> Context:
        """The context of servers, which no process takes with it when it dies."""
        return self._outside.context.copy()

    async def call(self, server: str, work: "Work[Answer]", *given: Any) -> Answer:
        """Have a server do `work` with what is given, and wait for its answer."""
        process = current_process()
        if self.is_over:
            raise asyncio.CancelledError
        if process is not None and process.is_dead:
            raise KilledError
        reply: asyncio.Future[Answer] = self.loop.create_future()
        self.loop.call_later(
            self.latency(server), self._arrive, server, partial(work, *given), reply, context=self.outside
        )
        return await reply

    def later(self, seconds: float, act: Callable[..., object], *given: Any) -> asyncio.TimerHandle:
        """Have something happen outside of all processes."""
        return self.loop.call_later(seconds, act, *given, context=self.outside)

    def serve(self, work: Coroutine[Any, Any, Answer]) -> "asyncio.Task[Answer]":
        """Begin a task of the servers."""
        return self.loop.create_task(work, context=self.outside)

    def _arrive(self, server: str, work: "Work[Answer]", reply: "asyncio.Future[Answer]") -> None:
        task = self.serve(work())
        task.add_done_callback(lambda done: self._send_back(server, done, reply), context=self.outside)

    def _send_back(self, server: str, done: "asyncio.Task[Answer]", reply: "asyncio.Future[Answer]") -> None:
        if done.cancelled():
            self.later(self.latency(server), _fail, reply, ConnectionAbortedError("the server let go"))
        elif (fault := done.exception()) is not None:
            self.later(self.latency(server), _fail, reply, fault)
        else:
            self.later(self.latency(server), _succeed, reply, done.result())


def _succeed(reply: "asyncio.Future[Any]", answer: Any) -> None:
    if not reply.done():
        reply.set_result(answer)


def _fail(reply: "asyncio.Future[Any]", fault: BaseException) -> None:
    if not reply.done():
        reply.set_exception(fault)


class Remote:
    """An object on a server: each of its methods becomes a call. `guard` may fail a call before or after it."""

    def __init__(
        self,
        network: Network,
        server: str,
        inner: Any,
        guard: Callable[[str, Callable[[], Awaitable[Any]]], Coroutine[Any, Any, Any]],
    ) -> None:
        self._network = network
        self._server = server
        self._inner = inner
        self._guard = guard

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._inner, name)

        async def call(*given: Any) -> Any:
            return await self._guard(name, lambda: self._network.call(self._server, method, *given))

        return call
