"""What Faust and aiokafka do around the real frontiers and lanes: fetch, rest, rebalance, drop, wait, seek, commit.

It does to chunks what a real worker was seen to do to them: around a rebalance it gives up what it has fetched and is
about to deliver, and fetching goes on behind it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from ledger.adapters.kafka.records import FetchedRecord
from streams.transport.chunk import Chunk
from streams.transport.consumer import TAIL_LOOK_S
from streams.transport.fetching import Beginning
from streams.transport.flow import Flow
from streams.transport.mending import Mender
from tests.simulation.faults import Faults
from tests.simulation.kafka import Broker, Joined
from tests.simulation.network import Network
from tests.simulation.stream import Event, Stream

FETCH_WAIT_S = 0.5
AWAY_S = 0.3
HEARTBEATS_PER_SESSION = 3

Prepare = Callable[[set[int]], Awaitable[None]]
"""Told of the partitions that were assigned, before fetching begins."""


class Fetched(NamedTuple):
    """Records of a partition that wait to be taken."""

    records: deque[FetchedRecord]
    end: int


class SimulatedConsumer:
    """One member of a group, in one process. Every partition of its topics goes to the stream of its topic."""

    def __init__(
        self, broker: Broker, network: Network, faults: Faults, flow: Flow, group: str, process: str
    ) -> None:
        self.flow = flow
        self.streams = {topic: Stream() for topic in sorted(flow.topics)}
        self.flow_active = False
        self.generation = 0
        self.prepare: Prepare | None = None
        self.recover: Prepare | None = None
        self.should_stop = False
        self.commits = True
        self._broker = broker
        self._network = network
        self._faults = faults
        self._group = group
        self._process = process
        self._member: str | None = None
        self._assignment: tuple[TopicPartition, ...] = ()
        self._positions: dict[TopicPartition, int] = {}
        self._fetched: dict[TopicPartition, Fetched] = {}
        self._ends: dict[TopicPartition, tuple[int, float]] = {}
        self._runs: dict[TopicPartition, int] = {}
        self._run_numbers = count(1)
        self._unacked: dict[Event, None] = {}
        self._something = asyncio.Event()
        self._hungry = asyncio.Event()
        self._resting: set[TopicPartition] = set()
        self._rejoin = asyncio.Event()
        self._acked = asyncio.Event()
        self._joined = False
        self._recovering: asyncio.Task[None] | None = None
        self.mender = Mender(flow, self)

    # What the lanes, the pace and the health ask of a ChunkedConsumer

    async def mend_gap(self, place: TopicPartition, begins: int) -> None:
        """As the real one."""
        await self.mender.mend_gap(place, begins)

    async def follow_log_back(self, chunk: Chunk) -> None:
        """As the real one."""
        await self.mender.follow_log_back(chunk)

    def wake(self) -> None:
        """A lane has room again."""
        self._something.set()

    def readable_end(self, place: TopicPartition) -> int | None:
        """Where the log ends, as the last fetch told."""
        told = self._ends.get(place)
        return None if told is None else told[0]

    def told(self, place: TopicPartition) -> tuple[int, float] | None:
        """The same, with the time."""
        return self._ends.get(place)

    # Fetching, for the mender

    def positions(self) -> Mapping[TopicPartition, int]:
        """Where fetching stands."""
        return {place: self._positions[place] for place in self._runs if place in self._positions}

    async def begin_runs(
        self, committed: Mapping[TopicPartition, int | None]
    ) -> Mapping[TopicPartition, Beginning]:
        """Seek to what was committed, or to the beginning."""
        await self._network.call("kafka", self._nothing)
        return {
            place: Beginning(offset or 0, offset, self._seek(place, offset or 0))
            for place, offset in committed.items()
        }

    async def begin_run(self, place: TopicPartition, offset: int) -> Beginning:
        """Seek one partition."""
        await self._call(self._nothing)
        return Beginning(offset, None, self._seek(place, offset))

    def _seek(self, place: TopicPartition, offset: int) -> int:
        if place not in self._assignment:
            raise IllegalStateError(f"{place} is not assigned")
        self._positions[place] = offset
        self._fetched.pop(place, None)
        self._resting.discard(place)
        run = self._runs[place] = next(self._run_numbers)
        self._something.set()
        self._hungry.set()
        return run

    async def _nothing(self) -> None:
        pass

    async def _call(self, work: Callable[..., Any], *given: Any) -> Any:
        """Ask the broker; raises KafkaError where a fault says so."""
        self._faults.raise_kafka_away()
        return await self._network.call("kafka", work, *given)

    # Running

    def tasks(self) -> list[Any]:
        """Everything that a running consumer does."""
        return [
            self._take_part(),
            self._beat(),
            self._fetch(),
            self._deliver(),
            self._commit_now_and_then(),
            self._find_lost_tails(),
        ]

    async def _take_part(self) -> None:
        settings = self.flow.settings
        self._broker.group(self._group, settings.session_timeout_s, settings.rebalance_timeout_s)
        while not self.should_stop:
            await self._revoked()
            await self._assigned(await self._join())
            await self._rejoin.wait()

    async def stop(self) -> None:
        """Stop as SIGTERM does: finish what runs, commit, and leave the group."""
        self.should_stop = True
        if self._joined:
            await self._revoked()
        if self._member is not None:
            member = self._member
            await self._network.call("kafka", self._broker.leave, self._group, member)

    async def _join(self) -> Joined:
        while True:
            self._rejoin.clear()
            try:
                topics = sorted(self.flow.topics)
                return await self._call(self._broker.join, self._group, self._member, topics)  # type: ignore[no-any-return]
            except KafkaError:
                await asyncio.sleep(AWAY_S)

    async def _beat(self) -> None:
        settings = self.flow.settings
        while True:
            await asyncio.sleep(settings.session_timeout_s / HEARTBEATS_PER_SESSION)
            member, generation = self._member, self.generation
            if not self._joined or member is None:
                continue
            try:
                said = await self._call(self._broker.heartbeat, self._group, member, generation)
            except KafkaError:
                continue
            if said == "unknown" and self._member == member:
                self._member = None
            if said != "fine" and self.generation == generation:
                self._rejoin.set()

    # Rebalances

    async def _revoked(self) -> None:
        """Faust stops the flow, waits for what runs, commits, and then the frontiers are forgotten."""
        if not self._joined:
            return
        if self._recovering is not None:
            self._recovering.cancel()
        self.flow_active = False
        self.flow.drop_waiting()
        self._something.set()
        for stream in self.streams.values():
            for event in stream.clear():
                self._unacked.pop(event, None)
        while self._unacked:
            await self.commit()
            await self._wait_for_ack()
        await self.commit()
        self._joined = False
        self._runs = {}
        self.flow.frontiers.close()
        self.flow.signals.emit("partitions.revoked", count=len(self._assignment))

    async def _wait_for_ack(self) -> None:
        self._acked.clear()
        try:
            async with asyncio.timeout(1.0):
                await self._acked.wait()
        except TimeoutError:
            return

    async def _assigned(self, joined: Joined) -> None:
        self._member, self.generation = joined.member, joined.generation
        self._assignment = joined.places
        self._positions = {}
        self._fetched = {}
        self._resting = set()
        self._joined = True
        self.flow.frontiers.open()
        self.flow.signals.emit("partitions.assigned", count=len(joined.places), generation=joined.generation)
        partitions = {place.partition for place in joined.places}
        if self.prepare is not None:
            await self.prepare(partitions)
        self._recovering = asyncio.create_task(self._resume(partitions))

    async def _resume(self, partitions: set[int]) -> None:
        """What Faust does after its callback: it recovers, seeks, and lets the flow go on."""
        generation = self.generation
        if self.recover is not None:
            await self.recover(partitions)
        while True:
            try:
                committed = await self._call(self._broker.committed, self._group, self._assignment)
                await self.mender.begin(committed)
                break
            except IllegalStateError as error:
                self.flow.signals.emit("partitions.lost_while_seeking", error=repr(error))
                return
            except KafkaError:
                await asyncio.sleep(AWAY_S)
        if generation == self.generation and self._joined:
            self.flow_active = True
            self._something.set()

    # Chunks

    async def _fetch(self) -> None:
        """Keep something of each partition at hand, as aiokafka's fetcher does."""
        while True:
            wanted = {
                place: position
                for place, position in self._positions.items()
                if place in self._runs and place not in self._fetched and place not in self._resting
            }
            if not wanted:
                self._hungry.clear()
                await self._hungry.wait()
                continue
            limit = 3 * self.flow.settings.batch_records_max
            try:
                found = await self._call(self._broker.fetch, wanted, limit, FETCH_WAIT_S)
            except KafkaError:
                await asyncio.sleep(AWAY_S)
                continue
            for place, (position, records, end, highwater) in found.items():
                self._ends[place] = (highwater, self._network.loop.time())
                if end > position and self._positions.get(place) == position and place in self._runs:
                    self._fetched[place] = Fetched(deque(records), end)
                    self._something.set()

    async def _deliver(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            self._end_rests()
            if self.flow_active:
                generation = self.generation
                chunks = [
                    self._take(place)
                    for place in tuple(self._fetched)
                    if place in self._runs and self.flow.has_room(place)
                ]
                for chunk in chunks:
                    self._something.set()
                    await asyncio.sleep(self._faults.small_delay())
                    if not self._hand_over(chunk, generation):
                        break

    def _end_rests(self) -> None:
        """Ask again for partitions that were at the end of their logs and whose chunks are done."""
        for place in tuple(self._resting):
            if not self.flow.is_busy(place):
                self._resting.discard(place)
                self._hungry.set()

    def _take(self, place: TopicPartition) -> Chunk:
        fetched = self._fetched[place]
        most = self.flow.settings.batch_records_max
        records = [fetched.records.popleft() for _ in range(min(most, len(fetched.records)))]
        start = self._positions[place]
        end = records[-1].offset + 1 if fetched.records else fetched.end
        if not fetched.records:
            del self._fetched[place]
            if self._ends[place][0] == end > start:
                self._resting.add(place)
            else:
                self._hungry.set()
        self._positions[place] = end
        return Chunk(place.topic, place.partition, records, start, end, self._runs[place])

    def _hand_over(self, chunk: Chunk, generation: int) -> bool:
        """Deliver a chunk, or drop it, as Faust does when the flow has stopped meanwhile."""
        if not self.flow_active or generation != self.generation:
            self.flow.signals.emit("simulation.dropped", partition=chunk.partition, start=chunk.start_offset)
            return False
        if self._faults.take(self._process, "drop"):
            self.flow.signals.emit("simulation.dropped", partition=chunk.partition, start=chunk.start_offset)
            return True
        event = Event(chunk, self._release)
        self._unacked[event] = None
        self.streams[chunk.topic].put(event)
        return True

    def _release(self, event: Event) -> None:
        self._unacked.pop(event, None)
        self._acked.set()

    async def _find_lost_tails(self) -> None:
        while True:
            await asyncio.sleep(TAIL_LOOK_S)
            if self.flow_active:
                await self.mender.mend_lost_tails()

    # Committing

    async def _commit_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self.flow.settings.commit_interval_ms / 1000)
            await self.commit()

    async def commit(self) -> None:
        """Commit the frontiers that Kafka does not know yet."""
        offsets = {
            place: offset
            for place, offset in self.flow.frontiers.to_commit().items()
            if place in self._assignment
        }
        member = self._member
        if not offsets or member is None or not self.commits:
            return
        generation = self.generation
        try:
            await self._call(self._broker.commit, self._group, member, generation, offsets)
        except (CommitFailedError, IllegalStateError) as refusal:
            self.flow.signals.emit("frontier.commit_refused", reason=type(refusal).__name__)
        except KafkaError:
            return
        else:
            self.flow.frontiers.committed(offsets)
            self.flow.signals.emit("frontier.committed", partitions=len(offsets))
