"""The thread that talks to Kafka: it takes fetched records out of aiokafka as chunks, and seeks, and commits."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any

import aiokafka
from aiokafka import OffsetAndMetadata, TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from mode import Service

from ledger.adapters.kafka.records import FetchedRecord, read_all_records
from streams.transport.answers import BoundedSending
from streams.transport.chunk import Chunk
from streams.transport.errors import FetchingEndedError
from streams.transport.flow import Flow

# Faust waits 1.5 s. A broker's answer to one request can hold back all its partitions: while the partitions of a
# request that is out are idle, one that was just emptied cannot be asked for. So a request must come back soon.
FETCH_WAIT_MS_MAX = 100
FETCH_WAIT_MS_BESIDE, RESTING_S = 10, 1.0
"""While a partition rests, the others' answers are waited for no longer than this, for it may have to be asked for
soon; one that has rested for so many seconds waits for something that is away."""

# A fetch is small, but a MiB of compressed records may hold a GiB of zeros.
CHUNK_BYTES_MAX = 32 * 1024**2

TASKS_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where fetching a partition begins: what Kafka has as committed, and the offset that was sought."""

    offset: int
    committed: int | None
    run: int


class Resting:
    """Stands among what was fetched for a partition that is at the end of its log, until its chunk is done.

    For aiokafka it is something that nobody has taken yet, so the partition is not asked for. The next chunk then has
    all that came meanwhile: a small one costs as much as a large one. The broker's other partitions are asked for with
    it, but after a tenth of a second at the latest, for aiokafka waited so long for what it fetched to be taken. To ask
    for them at once would be no gain: small chunks side by side are each done as late as the last of them.
    """

    def __init__(self) -> None:
        self.since = monotonic()

    def calculate_backoff(self) -> float:
        """For how many seconds the other partitions are not to be asked for either."""
        return 0.0


class ChunkedConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, with chunks, runs and commits of ours."""

    flow: Flow

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._run_numbers = count(1)
        self._runs: dict[TopicPartition, int] = {}
        self._waiter: asyncio.Future[None] | None = None

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        """Faust fixes these; they take effect when the consumer starts."""
        read_all_records()
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS_MAX
        # An aborted transaction's events never happened.
        consumer._isolation_level = "read_committed"
        consumer._client.send = BoundedSending(consumer._client, self.flow.settings.rebalance_timeout_s)
        return consumer

    @Service.task
    async def _look_after_tasks(self) -> None:
        """Raise what ended a task of aiokafka's: it only logs that, and nothing would be fetched ever again."""
        while not self.should_stop:
            await self.sleep(TASKS_LOOK_S)
            consumer = self._consumer
            if consumer is None or consumer._closed or consumer._fetcher is None:
                continue
            consumer._coordinator.check_errors()
            for task in (consumer._fetcher.error_future, consumer._client._sync_task):
                if task.done():
                    fault = None if task.cancelled() else task.exception()
                    raise FetchingEndedError("a task that fetches from Kafka has ended") from fault

    # Assignment

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Tell Faust; meanwhile the group hears of this member, though aiokafka would keep silent until all is ready.

        Tables may take longer than a session: the group would hand the partitions on, and back, without an end. One
        whose preparations never end is found by the watchdog.
        """
        self._ensure_consumer()._coordinator._start_heartbeat_task()
        await super().on_partitions_assigned(assigned, generation_id)

    # Fetching

    async def next_chunks(self, active: set[TP], timeout: float) -> dict[TopicPartition, Chunk]:
        """The next chunk of each wanted partition that has one; waits up to `timeout` seconds for the first."""
        return await self.call_thread(self._next_chunks, active, timeout)  # type: ignore[no-any-return]

    async def _next_chunks(self, active: set[TP], timeout: float) -> dict[TopicPartition, Chunk]:
        deadline = monotonic() + timeout
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher
        # aiokafka leaves the group when nobody was in here for max_poll_interval, so come in even if all is full.
        with fetcher._subscriptions.fetch_context():
            while self.consumer.flow_active:
                if consumer._closed or fetcher._closed:
                    raise ConsumerStoppedError
                chunks = self._take(fetcher, active, consumer._max_poll_records)
                if chunks or not await self._fetched_more(fetcher, deadline):
                    return chunks
        return {}

    async def _fetched_more(self, fetcher: Fetcher, deadline: float) -> bool:
        """Wait for records, or for room in a lane; false once the deadline has passed."""
        self._waiter = fetcher._create_fetch_waiter()
        done, pending = await asyncio.wait([self._waiter], timeout=max(0.0, deadline - monotonic()))
        for waiter in pending:
            waiter.cancel()
        for waiter in done:
            waiter.result()  # raises what the group's coordinator says, a lost permission for instance
        return bool(done)

    def wake(self) -> None:
        """Look again: a lane has room, or the flow has stopped. From any thread."""
        with suppress(RuntimeError):  # the thread may have ended, and its loop with it
            self.thread_loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(
        self, fetcher: Fetcher, active: set[TP], records_max: int | None
    ) -> dict[TopicPartition, Chunk]:
        subscriptions = fetcher._subscriptions
        if subscriptions.reassignment_in_progress:
            return {}
        chunks = {}
        for place in list(fetcher._records):
            state = subscriptions.subscription.assignment.state_value(place)
            if state is None:
                del fetcher._records[place]  # left over from an assignment that is gone
            elif place in active and self._wanted(place):
                chunk = self._drain(fetcher, place, state, records_max)
                if chunk is not None:
                    chunks[place] = chunk
        now = monotonic()
        soon = any(
            isinstance(each, Resting) and now - each.since < RESTING_S for each in fetcher._records.values()
        )
        fetcher._fetch_max_wait_ms = FETCH_WAIT_MS_BESIDE if soon else FETCH_WAIT_MS_MAX
        return chunks

    def _wanted(self, place: TopicPartition) -> bool:
        """While Faust recovers tables it lets its other topics flow as well, before it has sought: not ours."""
        if place.topic not in self.flow.topics:
            return True
        return place in self._runs and self.flow.has_room(place)

    def _drain(
        self, fetcher: Fetcher, place: TopicPartition, state: Any, records_max: int | None
    ) -> Chunk | None:
        """Take what was fetched, with aiokafka's own position before and after it.

        This is why gaps need no second look at the broker: nothing can happen between the two readings,
        because nothing here awaits and every seek runs in this thread, and aiokafka hands out a fetch only
        while it begins at the position. So the records are all that is readable between the two offsets.
        """
        fetched = fetcher._records[place]
        if isinstance(fetched, Resting):
            if not self.flow.is_busy(place):
                self._ask_for_more(fetcher, place)
            return None
        if not isinstance(fetched, FetchResult):
            self._ask_for_more(fetcher, place)
            fetched.check_raise()
            return None
        start = state.position if state.has_valid_position else None
        records = _take_out(fetched, place, records_max)
        chunk = None
        if start is not None and state.position != start:
            run = self._runs.get(place, 0)
            chunk = Chunk(place.topic, place.partition, records, start, state.position, run)
        if not fetched.has_more():
            if chunk is not None and place.topic in self.flow.topics and _end_of(state) == chunk.end_offset:
                fetcher._records[place] = Resting()
            else:
                self._ask_for_more(fetcher, place)
        return chunk

    def _ask_for_more(self, fetcher: Fetcher, place: TopicPartition) -> None:
        del fetcher._records[place]
        fetcher._notify(fetcher._wait_consume_future)

    def readable_end(self, place: TopicPartition) -> int | None:
        """The last stable offset: what lies after it belongs to transactions that have not ended."""
        state = self._state(place)
        return None if state is None else _end_of(state)

    def told(self, place: TopicPartition) -> tuple[int, float] | None:
        """Where the readable part ends, as the last fetch told, and when that was, in seconds since 1970."""
        state, end = self._state(place), self.readable_end(place)
        return None if end is None or state.timestamp is None else (end, state.timestamp / 1000)

    def positions(self) -> dict[TopicPartition, int]:
        """Where fetching stands in the partitions that have a run."""
        states = {place: self._state(place) for place in tuple(self._runs)}
        return {
            place: state.position
            for place, state in states.items()
            if state is not None and state.has_valid_position
        }

    def _state(self, place: TopicPartition) -> Any:
        subscription = self._ensure_consumer()._fetcher._subscriptions.subscription
        assignment = subscription.assignment if subscription is not None else None
        return assignment.state_value(place) if assignment is not None else None

    # Seeking

    async def begin_runs(
        self, committed: Mapping[TopicPartition, int | None]
    ) -> dict[TopicPartition, Beginning]:
        """Seek partitions to their committed offsets, or to their logs' beginnings where there are none."""
        return await self.call_thread(self._begin_runs, committed)  # type: ignore[no-any-return]

    async def _begin_runs(
        self, committed: Mapping[TopicPartition, int | None]
    ) -> dict[TopicPartition, Beginning]:
        consumer = self._ensure_consumer()
        new = [place for place, offset in committed.items() if offset is None]
        starts = await consumer.beginning_offsets(new) if new else {}
        starts.update((place, offset) for place, offset in committed.items() if offset is not None)
        return {
            place: Beginning(offset, committed[place], self._seek_run(consumer, place, offset))
            for place, offset in starts.items()
        }

    def _seek_run(self, consumer: aiokafka.AIOKafkaConsumer, place: TopicPartition, offset: int) -> int:
        # The seek and the number change in one step: a chunk's run always says which seek it came after.
        consumer.seek(place, offset)
        run = self._runs[place] = next(self._run_numbers)
        return run

    async def begin_run(self, place: TopicPartition, offset: int) -> Beginning:
        """Seek one partition to `offset`, or to its log's beginning where that is later."""
        return await self.call_thread(self._begin_run, place, offset)  # type: ignore[no-any-return]

    async def _begin_run(self, place: TopicPartition, offset: int) -> Beginning:
        consumer = self._ensure_consumer()
        beginnings = await consumer.beginning_offsets([place])
        start = max(offset, beginnings[place])
        return Beginning(start, None, self._seek_run(consumer, place, start))

    async def crash(self, exc: BaseException) -> None:
        """Crash in the loop of the app, whatever thread this is: uvloop takes no call from another one."""
        if asyncio.get_running_loop() is self.parent_loop:
            await super().crash(exc)
        else:
            # Not waited for: the app may be waiting for this thread.
            asyncio.run_coroutine_threadsafe(super().crash(exc), self.parent_loop)

    def end_runs(self) -> None:
        """The assignment is over: what was fetched under it is of no run."""
        self._runs = {}

    # Committing

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; false if the partitions have gone to another worker meanwhile.

        Faust knows that case by aiokafka's text, which has a line break in it since aiokafka 0.14, and would
        crash. A partition lost between its look at the assignment and the request would crash it as well.
        """
        held = self.assignment()
        wanted = {
            TopicPartition(*place): OffsetAndMetadata(offset, "")
            for place, offset in offsets.items()
            if place in held
        }
        if not wanted:
            return False
        try:
            await self._ensure_consumer().commit(wanted)
        except (CommitFailedError, IllegalStateError) as refusal:
            self.flow.signals.emit("frontier.commit_refused", reason=type(refusal).__name__)
            return False
        except Exception as fault:
            self.log.exception("committing failed: %r", fault)
            await self.crash(fault)
            return False
        return True


def _end_of(state: Any) -> int | None:
    return state.highwater if state.lso is None else state.lso  # type: ignore[no-any-return]


def _take_out(fetched: FetchResult, place: TopicPartition, records_max: int | None) -> list[FetchedRecord]:
    """Do what aiokafka's `getall` does, but stop as well where the records' bytes are enough for a chunk."""
    if not fetched.check_assignment(place):
        return []
    records: list[FetchedRecord] = []
    size = 0
    for record in fetched._partition_records:
        records.append(record)
        size += record.serialized_key_size + record.serialized_value_size
        if size >= CHUNK_BYTES_MAX or len(records) == records_max:
            fetched._update_position()
            return records
    fetched._update_position()
    fetched._partition_records = None
    return records
