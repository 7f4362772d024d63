"""What an agent is handed: events that are released, in a stream that a rebalance empties."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from streams.transport.chunk import Chunk


class Event:
    """A Faust event, as far as lanes use it."""

    def __init__(self, value: Chunk, released: Callable[["Event"], None]) -> None:
        self.value = value
        self._released = released

    def ack(self) -> None:
        """The chunk is released."""
        self._released(self)


class Stream:
    """The stream of an agent: a queue that a rebalance empties."""

    def __init__(self) -> None:
        self._queue: deque[Event] = deque()
        self._came: asyncio.Future[None] | None = None

    def noack(self) -> "Stream":
        """Acks are the lanes' business."""
        return self

    async def events(self) -> AsyncIterator[Event]:
        """Give what was put, for ever."""
        while True:
            while self._queue:
                yield self._queue.popleft()
            self._came = asyncio.get_running_loop().create_future()
            await self._came

    def put(self, event: Event) -> None:
        """Deliver."""
        self._queue.append(event)
        if self._came is not None and not self._came.done():
            self._came.set_result(None)

    def clear(self) -> list[Event]:
        """Give up all that waits."""
        dropped = list(self._queue)
        self._queue.clear()
        return dropped
