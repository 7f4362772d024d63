"""Lanes read ahead side by side, a page at most: decoded, looked up and placed, in turns with what else is done."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime

from ledger.application.replaying import Reached
from ledger.application.turns import in_turns
from ledger.contract.dead_letter import Record
from ledger.domain.commands import Event
from streams.replay.plan import Judged, Known, Placed, place
from streams.replay.read import Decoder, Lane

PLACED_AT_ONCE = 500
"""About a millisecond of it."""

PageQueue = asyncio.Queue[list[Placed] | BaseException | None]
Pages = dict[int, PageQueue]
"""What was read ahead of each partition, or what reading it raised; None: nothing follows."""
Know = Callable[[Sequence[Event]], Awaitable[Known]]


class Reading:
    """Reads lanes from where they were reached; `know` tells what is known of the events of a page."""

    def __init__(
        self, lanes: Sequence[Lane], begins: Mapping[int, Reached], decoder: Decoder, know: Know
    ) -> None:
        self._lanes = lanes
        self._begins = {lane.partition: begins[lane.partition] for lane in lanes}
        self._decoder = decoder
        self._know = know

    @asynccontextmanager
    async def ahead(self) -> AsyncIterator[Pages]:
        """Read every lane ahead while it is entered."""
        queues: Pages = {lane.partition: asyncio.Queue(maxsize=1) for lane in self._lanes}
        tasks = [asyncio.create_task(self._fill(lane, queues[lane.partition])) for lane in self._lanes]
        try:
            yield queues
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task

    async def _fill(self, lane: Lane, queue: PageQueue) -> None:
        try:
            async with aclosing(self._pages(lane)) as pages:
                async for page in pages:
                    await queue.put(page)
            await queue.put(None)
        except Exception as error:  # whoever takes from the queue raises it
            await queue.put(error)

    async def _pages(self, lane: Lane) -> AsyncGenerator[list[Placed], None]:
        begin = self._begins[lane.partition]
        at, floor = begin.next, begin.at
        if at >= lane.end:
            return
        async with aclosing(lane.read(at)) as runs:
            async for records in runs:
                judged = await self._judged(lane, records, at)
                known = await self._know([each.event for each in judged if each.event is not None])
                page = await self._placed(lane.partition, judged, known, floor)
                at, floor = page[-1].offset + 1, page[-1].at
                yield page

    async def _judged(self, lane: Lane, records: Sequence[Record], first: int) -> list[Judged]:
        judged: list[Judged] = []
        async for some in in_turns(records):
            judged += self._decoder.judge(lane, some, first + len(judged), datetime.now(UTC))
        return judged

    async def _placed(
        self, partition: int, judged: Sequence[Judged], known: Known, floor: datetime
    ) -> list[Placed]:
        page: list[Placed] = []
        async for some in in_turns(judged, PLACED_AT_ONCE):
            page += place(partition, some, known, page[-1].at if page else floor)
        return page
