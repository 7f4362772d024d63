"""A broker: the logs of partitions, and groups whose members share them, as eager rebalances have it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from ledger.adapters.kafka.records import FetchedRecord
from tests.simulation.network import Network

Headers = Sequence[tuple[str, bytes | None]]


class Record(NamedTuple):
    """One record of a log."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    written_at: float


class Log:
    """One partition. Holes are offsets without a record."""

    def __init__(self, place: TopicPartition) -> None:
        self.place = place
        self.records: list[Record] = []
        self.end = 0

    def append(self, key: bytes | None, value: bytes | None, headers: Headers, now: float) -> int:
        """Write one record; gives its offset."""
        self.records.append(Record(self.end, key, value, tuple(headers), now))
        self.end += 1
        return self.end - 1

    def skip(self, offsets: int) -> None:
        """Leave a hole, as the marker of a transaction does."""
        self.end += offsets

    def read(self, position: int, limit: int) -> tuple[list[FetchedRecord], int]:
        """Read records from `position` on; gives them, and where to go on."""
        found = self.records[self._index(position) :][:limit]
        next_position = found[-1].offset + 1 if found else position
        if not found or found[-1] is self.records[-1]:
            next_position = max(position, self.end)
        return [self._consumed(each) for each in found], next_position

    def _index(self, position: int) -> int:
        low, high = 0, len(self.records)
        while low < high:
            middle = (low + high) // 2
            if self.records[middle].offset < position:
                low = middle + 1
            else:
                high = middle
        return low

    def _consumed(self, record: Record) -> FetchedRecord:
        return FetchedRecord(
            self.place.topic,
            self.place.partition,
            record.offset,
            int(record.written_at * 1000),
            0,
            record.key,
            record.value,
            None,
            len(record.key or b""),
            len(record.value or b""),
            tuple(record.headers),
        )


class Joined(NamedTuple):
    """What a member is told when a rebalance ends."""

    member: str
    generation: int
    places: tuple[TopicPartition, ...]


@dataclass
class Member:
    """One member of a group, as the coordinator knows it."""

    topics: Sequence[str]
    seen_at: float
    joining: "asyncio.Future[Joined] | None" = None


@dataclass
class Group:
    """One consumer group."""

    session_s: float
    rebalance_s: float
    generation: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    is_rebalancing: bool = False
    rebalances: int = 0
    deadline: float = 0.0


class Broker:
    """All topics and groups. Every method runs on the server."""

    def __init__(self, network: Network, topics: Mapping[str, int]) -> None:
        self._network = network
        self.logs = {
            TopicPartition(topic, number): Log(TopicPartition(topic, number))
            for topic, count in topics.items()
            for number in range(count)
        }
        self.partitions = dict(topics)
        self.groups: dict[str, Group] = {}
        self._arrivals: list[asyncio.Future[None]] = []
        self._serial = 0

    @property
    def now(self) -> float:
        return self._network.loop.time()

    # Logs

    async def append(self, place: TopicPartition, records: Sequence[tuple[Any, Any, Headers]]) -> int:
        """Write records together; gives the first's offset."""
        log = self.logs[place]
        first = log.end
        for key, value, headers in records:
            log.append(key, value, headers, self.now)
        self._tell()
        return first

    def write(
        self, place: TopicPartition, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> int:
        """Write one record at once, as a producer of the world outside."""
        offset = self.logs[place].append(key, value, headers, self.now)
        self._tell()
        return offset

    def _tell(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        for each in arrivals:
            _arrive(each)

    async def fetch(
        self, positions: Mapping[TopicPartition, int], limit: int, wait_s: float
    ) -> dict[TopicPartition, tuple[int, list[FetchedRecord], int, int]]:
        """Read partitions, and wait a little if there is nothing: (position, records, next position, end) of each."""
        if not any(self.logs[place].end > position for place, position in positions.items()):
            arrival: asyncio.Future[None] = self._network.loop.create_future()
            self._arrivals.append(arrival)
            timer = self._network.later(wait_s, _arrive, arrival)
            await arrival
            timer.cancel()
        return {
            place: (position, *self.logs[place].read(position, limit), self.logs[place].end)
            for place, position in positions.items()
        }

    # Groups

    def group(self, name: str, session_s: float, rebalance_s: float) -> Group:
        """Give a group, and make it first if there is none."""
        if name not in self.groups:
            self.groups[name] = Group(session_s, rebalance_s)
        return self.groups[name]

    async def join(self, name: str, member: str | None, topics: Sequence[str]) -> Joined:
        """Join, or join again; answered when all members have, or when those that have not are given up."""
        group = self.groups[name]
        if member is None or member not in group.members:
            self._serial += 1
            member = f"member-{self._serial}"
            group.members[member] = Member(topics, self.now)
        if not group.is_rebalancing:
            self._begin_rebalance(group)
        joining: asyncio.Future[Joined] = self._network.loop.create_future()
        group.members[member].joining = joining
        self._complete_if_all(group)
        return await joining

    async def heartbeat(self, name: str, member: str, generation: int) -> str:
        """Keep a session; gives `fine`, `rebalance` or `unknown`."""
        group = self.groups[name]
        known = group.members.get(member)
        if known is None:
            return "unknown"
        known.seen_at = self.now
        return "rebalance" if group.is_rebalancing or generation != group.generation else "fine"

    async def leave(self, name: str, member: str) -> None:
        """Leave at once."""
        self._remove(self.groups[name], member)

    async def commit(
        self, name: str, member: str, generation: int, offsets: Mapping[TopicPartition, int]
    ) -> None:
        """Store offsets; raises CommitFailedError to who is no member of this generation any more."""
        group = self.groups[name]
        if member not in group.members or generation != group.generation:
            raise CommitFailedError("not of this generation")
        group.members[member].seen_at = self.now
        group.committed.update(offsets)

    async def committed(
        self, name: str, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int | None]:
        """Read what was committed."""
        return {place: self.groups[name].committed.get(place) for place in places}

    def expire(self) -> None:
        """Remove members that were not heard of for a session, and end rebalances that took too long."""
        for group in self.groups.values():
            for name, member in list(group.members.items()):
                if member.joining is None and self.now - member.seen_at > group.session_s:
                    self._remove(group, name)
            if group.is_rebalancing and self.now >= group.deadline:
                for name, member in list(group.members.items()):
                    if member.joining is None:
                        del group.members[name]
                self._complete_if_all(group)

    def force_rebalance(self, name: str) -> None:
        """Begin a rebalance for no reason, as an operator or a change of metadata does."""
        group = self.groups[name]
        if group.members and not group.is_rebalancing:
            self._begin_rebalance(group)

    def _begin_rebalance(self, group: Group) -> None:
        group.is_rebalancing = True
        group.rebalances += 1
        group.deadline = self.now + group.rebalance_s

    def _remove(self, group: Group, name: str) -> None:
        if group.members.pop(name, None) is None:
            return
        if group.members and not group.is_rebalancing:
            self._begin_rebalance(group)
        self._complete_if_all(group)

    def _complete_if_all(self, group: Group) -> None:
        if not group.is_rebalancing or not all(each.joining for each in group.members.values()):
            return
        group.is_rebalancing = False
        group.generation += 1
        shares = self._shares(group)
        for name, member in group.members.items():
            joining, member.joining, member.seen_at = member.joining, None, self.now
            if joining is not None and not joining.done():
                joining.set_result(Joined(name, group.generation, shares[name]))

    def _shares(self, group: Group) -> dict[str, tuple[TopicPartition, ...]]:
        """Share partitions out in turn; a number of every topic goes to the same member."""
        names = sorted(group.members, key=lambda name: int(name.partition("-")[2]))
        shares: dict[str, list[TopicPartition]] = {name: [] for name in names}
        for topic in dict.fromkeys(topic for name in names for topic in group.members[name].topics):
            for number in range(self.partitions[topic]):
                owner = names[(number + group.generation) % len(names)]
                shares[owner].append(TopicPartition(topic, number))
        return {name: tuple(places) for name, places in shares.items()}


def _arrive(arrival: "asyncio.Future[None]") -> None:
    if not arrival.done():
        arrival.set_result(None)
