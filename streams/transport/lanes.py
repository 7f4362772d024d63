"""Lanes: each partition's chunks go to the handler one at a time and in order, the partitions side by side."""

import asyncio
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, cast

from aiokafka import TopicPartition
from faust import Stream
from faust.streams import _current_event
from faust.types import EventT, StreamT

from streams.transport.app import ChunkedApp
from streams.transport.chunk import Chunk
from streams.transport.consumer import ChunkedConsumer
from streams.transport.frontier import Verdict

Handler = Callable[[Chunk], Awaitable[None]]

# A chunk that runs when its partition is taken away gets this part of the rebalance timeout to finish.
FINISHING_SHARE = 0.5


@dataclass(slots=True)
class Lane:
    """One partition's chunks: those that wait, and the task that works through them."""

    waiting: deque[EventT[Any]] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class PartitionLanes:
    """Hands the chunks of an agent's stream to `handler`, and moves the frontier after it.

    The handler gets chunks that join, and only those, also one that is only a hole and has no records; it must be
    safe to hand it the same records again. It keeps its own retries. What it raises in spite of them ends the
    process: nothing after it may be committed.
    """

    def __init__(self, app: ChunkedApp, handler: Handler) -> None:
        self._app = app
        self._flow = app.flow
        self._handler = handler
        self._lanes: dict[TopicPartition, Lane] = {}
        self._failed = False
        app.flow.lanes.append(self)

    async def run(self, stream: StreamT[Any]) -> None:
        """The whole body of an agent. Faust acks nothing: a chunk is released here, when it is done."""
        async for event in cast(Stream[Any], stream).noack().events():
            self._put(event)

    def has_room(self, place: TopicPartition) -> bool:
        """Whether a chunk may come: one may wait while another runs."""
        lane = self._lanes.get(place)
        return lane is None or not lane.waiting

    def is_busy(self, place: TopicPartition) -> bool:
        """Whether a chunk of this partition runs or waits."""
        lane = self._lanes.get(place)
        return lane is not None and lane.task is not None

    def drop_waiting(self) -> None:
        """Give up what waits, and give what runs some time to finish."""
        seconds = self._flow.settings.rebalance_timeout_s * FINISHING_SHARE
        for lane in self._lanes.values():
            self._release(lane)
            if lane.task is not None:
                _cancel_after(lane.task, seconds)

    def _put(self, event: EventT[Any]) -> None:
        lane = self._lanes.setdefault(_chunk(event).place, Lane())
        lane.waiting.append(event)
        if self._failed:
            self._release(lane)
        elif lane.task is None:
            lane.task = asyncio.create_task(self._work(lane))

    def _release(self, lane: Lane) -> None:
        while lane.waiting:
            lane.waiting.popleft().ack()

    async def _work(self, lane: Lane) -> None:
        try:
            while lane.waiting:
                event = lane.waiting.popleft()
                self._consumer.wake()
                await self._take(event)
        finally:
            lane.task = None
            self._release(lane)
            self._consumer.wake()

    async def _take(self, event: EventT[Any]) -> None:
        chunk = _chunk(event)
        try:
            if await self._joins(chunk):
                await self._handle(event, chunk)
        except asyncio.CancelledError:
            self._emit("chunk.given_up", chunk)
            raise
        except Exception as fault:
            await self._fail(chunk, fault)
        finally:
            event.ack()

    async def _joins(self, chunk: Chunk) -> bool:
        """Judge a chunk now that everything before it in its partition is done; mend what does not join."""
        verdict = self._flow.frontiers.judge(chunk)
        if verdict is Verdict.GAP:
            await self._consumer.mend_gap(chunk.place, chunk.start_offset)
        elif verdict is Verdict.WENT_BACK:
            await self._consumer.follow_log_back(chunk)
        elif verdict is not Verdict.JOINS:
            self._emit(f"chunk.{verdict.name.lower()}", chunk)
        return verdict is Verdict.JOINS

    async def _handle(self, event: EventT[Any], chunk: Chunk) -> None:
        # Writing to a table needs Faust's current event, which it knows only in the agent's own task.
        _current_event.set(weakref.ref(event))
        await self._handler(chunk)
        if self._flow.frontiers.advance(chunk, monotonic()):
            self._emit("chunk.joined", chunk)
            if chunk.missing:
                self._emit("hole.crossed", chunk, offsets=chunk.missing)

    async def _fail(self, chunk: Chunk, fault: Exception) -> None:
        self._failed = True
        for lane in self._lanes.values():
            self._release(lane)
        self._emit("handler.failed", chunk, error=repr(fault))
        await self._app.crash(fault)

    def _emit(self, name: str, chunk: Chunk, **facts: Any) -> None:
        self._flow.signals.emit(
            name,
            topic=chunk.topic,
            partition=chunk.partition,
            records=len(chunk.records),
            start_offset=chunk.start_offset,
            end_offset=chunk.end_offset,
            **facts,
        )

    @property
    def _consumer(self) -> ChunkedConsumer:
        return cast(ChunkedConsumer, self._app.consumer)


def _chunk(event: EventT[Any]) -> Chunk:
    return cast(Chunk, event.value)


def _cancel_after(task: asyncio.Task[None], seconds: float) -> None:
    limit = asyncio.get_running_loop().call_later(seconds, task.cancel)
    task.add_done_callback(lambda _: limit.cancel())
