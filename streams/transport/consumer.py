"""Faust's Kafka transport, handing on chunks instead of messages and committing the frontier instead of acks."""

from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cached_property
from time import monotonic
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP, AppT, ConsumerMessage, Message
from faust.types.tuples import ack_lock
from mode import Service
from mode.utils.futures import notify

from streams.transport.chunk import Chunk
from streams.transport.fetching import ChunkedConsumerThread
from streams.transport.flow import Flow
from streams.transport.mending import Mender

TAIL_LOOK_S = 1.0


class ChunkedConsumer(Consumer):
    """One Faust message for each chunk of the flow's topics; every other topic as Faust has it."""

    _thread: ChunkedConsumerThread
    transport: "ChunkedTransport"

    #: When chunks were last asked for, in monotonic seconds; a wait for the flow to go on does not count.
    polled_at: float = 0.0

    @property
    def flow(self) -> Flow:
        """The flow that this consumer feeds."""
        return self.transport.flow

    @cached_property
    def mender(self) -> Mender:
        """What keeps frontiers and fetching together."""
        return Mender(self.flow, self._thread)

    def _new_consumer_thread(self) -> ChunkedConsumerThread:
        thread = ChunkedConsumerThread(self, loop=self.loop, beacon=self.beacon)
        thread.flow = self.flow
        return thread

    # Fetching

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Fetch a chunk of each partition that has one and whose lane has room.

        Stock Faust seeks here when the flow has stopped. We do not: what is dropped here leaves a gap, and a
        gap is mended by the lane that meets it, or by the seek that ends every rebalance.
        """
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # any event will do
        self.polled_at = monotonic()
        generation = self.app.consumer_generation_id
        fetched = await self._thread.next_chunks(self._get_active_partitions(), timeout)
        for place, chunk in fetched.items():
            for tp, message in self._messages(TP(*place), chunk):
                stale = self.app.consumer_generation_id != generation
                if self.should_stop or not self.flow_active or stale:
                    return
                yield tp, message

    def _messages(self, tp: TP, chunk: Chunk) -> Iterator[tuple[TP, Message]]:
        highwater = self.highwater(tp)
        if highwater is not None:
            self.app.monitor.track_tp_end_offset(tp, highwater)
        if tp.topic not in self.flow.topics | self.flow.changelogs:
            for record in chunk.records:
                yield tp, self._to_message(tp, record)
        else:
            # Faust drops a message below the last offset that it read, and notes a gap above it. Both are the
            # frontier's business here, so it is to know of no last offset.
            self._read_offset[tp] = None
            yield tp, self._chunk_message(tp, chunk)

    def _chunk_message(self, tp: TP, chunk: Chunk) -> Message:
        timestamp = chunk.records[-1].timestamp / 1000 if chunk.records else 0.0
        return ConsumerMessage(
            chunk.topic,
            chunk.partition,
            chunk.end_offset - 1,
            timestamp,
            0,
            None,
            None,
            cast(Any, chunk),
            None,
            0,
            len(chunk.records),
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def readable_end(self, place: TopicPartition) -> int | None:
        """Where the readable part of the log ends, as the last fetch told; none if it has not told yet."""
        return self._thread.readable_end(place)

    def told(self, place: TopicPartition) -> tuple[int, float] | None:
        """The same, with the time of that fetch, in seconds since 1970."""
        return self._thread.told(place)

    def wake(self) -> None:
        """A lane has room again."""
        self._thread.wake()

    def stop_flow(self) -> None:
        """Faust calls this first, before a rebalance and before it stops."""
        super().stop_flow()
        self.flow.drop_waiting()
        self._thread.wake()

    # Assignment

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A new assignment: its frontiers begin when Faust seeks, at the end of its own preparations."""
        self.flow.frontiers.open()
        self.flow.signals.emit("partitions.assigned", count=len(assigned), generation=generation_id)
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust waits here for the running chunks and commits; only then are the frontiers forgotten."""
        await super().on_partitions_revoked(revoked)
        self._thread.end_runs()
        self.flow.frontiers.close()
        self.flow.signals.emit("partitions.revoked", count=len(revoked))

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """The last thing that Faust does before it lets the flow go on, with tables and without."""
        try:
            committed = await super().seek_to_committed()
            beginnings = await self.mender.begin(
                {TopicPartition(*tp): offset for tp, offset in committed.items()}
            )
        except (IllegalStateError, AssertionError) as error:
            # Another rebalance has taken the partitions already, and will seek at its own end.
            self.flow.signals.emit("partitions.lost_while_seeking", error=repr(error))
            return {}
        sought = {TP(*place): begun.offset for place, begun in beginnings.items()}
        return {**{TP(*tp): offset for tp, offset in committed.items()}, **sought}

    async def _seek(self, partition: TP, offset: int) -> None:
        """In the consumer's thread, where the positions are read: see `fetching`."""
        await self._thread.seek_wait({partition: offset})

    async def mend_gap(self, place: TopicPartition, begins: int) -> None:
        """Fetching has come to `begins`, beyond the frontier: seek back."""
        await self.mender.mend_gap(place, begins)

    async def follow_log_back(self, chunk: Chunk) -> None:
        """The log begins or ends before the frontier: take it as it is now."""
        await self.mender.follow_log_back(chunk)

    @Service.task
    async def _find_lost_tails(self) -> None:
        while not self.should_stop:
            await self.sleep(TAIL_LOOK_S)
            if self.flow_active:
                await self.mender.mend_lost_tails()

    # Committing

    def ack(self, message: Message) -> bool:
        """A chunk is released: `wait_empty` need not wait for it any more. Only the lanes move a frontier."""
        if message.topic not in self.flow.topics:
            return bool(super().ack(message))
        with ack_lock:
            message.acked = True
            self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for place in self.flow.frontiers.to_commit():
            tp = TP(*place)
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.flow.topics:
            return super()._new_offset(tp)
        frontier = self.flow.frontiers.get(TopicPartition(*tp))
        return frontier.offset if frontier is not None and frontier.uncommitted else None

    def _should_commit(self, tp: TP, offset: int) -> bool:
        # Faust takes an offset as committed even if the commit was refused; the frontiers know better.
        return tp.topic in self.flow.topics or super()._should_commit(tp, offset)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        if self._thread.should_stop:
            # After a crash the thread takes no more calls, and Faust would wait for its answer for ever.
            return False
        done = await super()._commit(offsets)
        ours = {TopicPartition(*tp): offset for tp, offset in offsets.items() if tp.topic in self.flow.topics}
        if done and ours:
            self.flow.frontiers.committed(ours)
            self.flow.signals.emit("frontier.committed", partitions=len(ours))
        return done

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's own check counts messages, and logs nonsense about chunks; the watchdog looks instead."""


class ChunkedTransport(Transport):
    """Makes the consumer of a flow; installed as the app's transport."""

    Consumer = ChunkedConsumer

    def __init__(self, url: Any, app: AppT, flow: Flow) -> None:
        super().__init__(url, app)
        self.flow = flow
