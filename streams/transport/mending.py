"""Begins frontiers where fetching begins, and puts fetching back where it left the frontier: without Faust."""

import asyncio
import logging
from collections.abc import Mapping
from time import monotonic
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from streams.transport.chunk import Chunk
from streams.transport.fetching import Beginning
from streams.transport.flow import Flow
from streams.transport.frontier import LostTails

MEND_RETRY_S = 0.5

_log = logging.getLogger(__name__)


class Fetching(Protocol):
    """What fetches: it seeks, and says where it stands."""

    async def begin_runs(
        self, committed: Mapping[TopicPartition, int | None]
    ) -> Mapping[TopicPartition, Beginning]:
        """Seek to the committed offsets, or to the logs' beginnings where there are none."""
        ...

    async def begin_run(self, place: TopicPartition, offset: int) -> Beginning:
        """Seek one partition to `offset`, or to its log's beginning where that is later."""
        ...

    def positions(self) -> Mapping[TopicPartition, int]:
        """Where fetching stands in the partitions that have a run."""
        ...


class Mender:
    """Keeps the frontiers of a flow and the runs of its fetching together."""

    def __init__(self, flow: Flow, fetching: Fetching) -> None:
        self._flow = flow
        self._fetching = fetching
        self._tails = LostTails(flow.frontiers)

    async def begin(
        self, committed: Mapping[TopicPartition, int | None]
    ) -> Mapping[TopicPartition, Beginning]:
        """Seek what is ours of the committed offsets, and begin its frontiers there.

        Raises IllegalStateError where another rebalance has taken the partitions already.
        """
        ours = {place: offset for place, offset in committed.items() if place.topic in self._flow.topics}
        beginnings = await self._fetching.begin_runs(ours)
        for place, begun in beginnings.items():
            self._flow.frontiers.start(place, begun.offset, begun.committed, begun.run, monotonic())
        return beginnings

    async def mend_gap(self, place: TopicPartition, begins: int) -> None:
        """Fetching has come to `begins`, beyond the frontier: seek back. What expired meanwhile is skipped."""
        frontier = self._flow.frontiers.get(place)
        start = None if frontier is None else await self._restart(place, frontier.offset)
        if frontier is None or start is None:
            return
        facts = {"topic": place.topic, "partition": place.partition, "frontier": frontier.offset}
        if start > frontier.offset:
            self._flow.signals.emit("records.expired", **facts, lost=start - frontier.offset)
        else:
            self._flow.signals.emit("chunk.dropped_by_faust", **facts, begins=begins)

    async def follow_log_back(self, chunk: Chunk) -> None:
        """The log begins or ends before the frontier: take it as it is now, or nothing would ever join again."""
        frontier = self._flow.frontiers.get(chunk.place)
        if await self._restart(chunk.place, chunk.start_offset) is not None and frontier is not None:
            self._flow.signals.emit(
                "log.went_back",
                topic=chunk.topic,
                partition=chunk.partition,
                frontier=frontier.offset,
                begins=chunk.start_offset,
            )

    async def mend_lost_tails(self) -> None:
        """Look once for chunks that were dropped with nothing after them, and seek back to them."""
        positions = self._fetching.positions()
        for place in self._tails.look(positions, self._flow.is_busy):
            await self.mend_gap(place, positions[place])

    async def _restart(self, place: TopicPartition, offset: int) -> int | None:
        """Begin a new run; none if the partition was taken away before that could be done."""
        while self._flow.frontiers.get(place) is not None:
            try:
                begun = await self._fetching.begin_run(place, offset)
            except IllegalStateError:
                return None
            except KafkaError as error:
                _log.warning("seeking %s failed, trying again: %r", place, error)
                await asyncio.sleep(MEND_RETRY_S)
            else:
                self._flow.frontiers.restart(place, begun.offset, begun.run, monotonic())
                return begun.offset
        return None
