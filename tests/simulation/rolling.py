"""A windows worker: the real book, checkpoints, table rules and pace, with a recovery that drops as Faust's does."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from aiokafka import TopicPartition
from faust.types import TP

from streams.agents.roll_windows import RollChunk
from streams.rolling import retention_of, watch_versions
from streams.transport.chunk import Chunk
from streams.windows import editions
from streams.windows import keeper as keeping
from streams.windows.book import WindowBook
from streams.windows.checkpoints import Checkpoints
from streams.windows.editions import Kept
from streams.windows.keeper import BookKeeper
from streams.windows.pace import AppPace
from streams.windows.reach import AppReach
from streams.windows.table import WindowTable
from tests.simulation.consumer import FETCH_WAIT_S, SimulatedConsumer
from tests.simulation.workers import Parts
from tests.simulation.world import Running, World

CHANGES_AT_ONCE = 7


class Recovery:
    """What the table uses of Faust's recovery."""

    def __init__(self, table: "SimulatedTable") -> None:
        self.in_recovery = False
        self.buffers: dict[Any, list[Any]] = {table: []}
        self.active_tps: set[TP] = set()
        self.active_offsets: dict[TP, int] = {}
        self.highwaters: dict[TP, int] = {}

    def active_remaining(self) -> dict[TP, int]:
        """Count what is still to be read."""
        return {tp: self.highwaters[tp] - self.active_offsets[tp] for tp in self.highwaters}


class SimulatedTable(WindowTable):
    """The real table's rules about what joins, without the rest of a Faust table."""

    def __init__(self, app: Any, topic: str, make_store: Any, on_rebalanced: Any, on_recovered: Any) -> None:
        self.app = app
        self.topic = topic
        self.recovery = Recovery(self)
        self.name = "windows"
        self._make_store = make_store
        self._rebalanced = on_rebalanced
        self._recovered = on_recovered
        self._next = {}
        self._changelog_topic = cast(Any, SimpleNamespace(topics=[topic]))
        self._data = None

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def changelog_topic_name(self) -> str:
        """The changelog."""
        return self.topic

    def _to_key(self, key: Any) -> Any:
        return key

    def _to_value(self, value: Any) -> Any:
        return value

    @property
    def _recovery(self) -> Any:
        return self.recovery


class RecoveringConsumer:
    """What the table asks of the consumer while it recovers."""

    def __init__(self, consumer: SimulatedConsumer) -> None:
        self._consumer = consumer
        self.positions: dict[TP, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    async def earliest_offsets(self, tp: TP) -> Mapping[TP, int]:
        """Where the changelog begins."""
        return {tp: 0}

    async def seek_wait(self, positions: Mapping[TP, int]) -> None:
        """Read from there again."""
        self.positions.update(positions)


class Table:
    """Rebalances and recoveries of one worker's table, in the order in which Faust has them."""

    def __init__(self, running: Running, table: SimulatedTable, consumer: RecoveringConsumer) -> None:
        self._running = running
        self._table = table
        self._consumer = consumer

    async def prepare(self, partitions: set[int]) -> None:
        """Partitions were assigned: forget what others hold, and close the book."""
        table = self._table
        table._next.clear()
        table.recovery.buffers[table].clear()
        table.recovery.in_recovery = False
        tps = {TP(table.topic, partition) for partition in sorted(partitions)}
        await table.data.on_rebalance(tps, set(), tps)
        await table._rebalanced(partitions)

    async def recover(self, partitions: set[int]) -> None:
        """Read the changelog up to its end, and open the book."""
        world, table, recovery = self._running.world, self._table, self._table.recovery
        tps = [TP(table.topic, partition) for partition in sorted(partitions)]
        recovery.active_tps = set(tps)
        recovery.highwaters = {tp: world.broker.logs[TopicPartition(*tp)].end - 1 for tp in tps}
        recovery.active_offsets = {tp: self._persisted(tp) for tp in tps}
        self._consumer.positions = {tp: recovery.active_offsets[tp] + 1 for tp in tps}
        recovery.in_recovery = True
        while any(left > 0 for left in recovery.active_remaining().values()):
            await self._read_some()
        table.apply_changelog_batch(recovery.buffers[table])
        recovery.buffers[table].clear()
        recovery.in_recovery = False
        await table._recovered(partitions)

    def _persisted(self, tp: TP) -> int:
        found: int | None = self._table.data.persisted_offset(tp)
        return -1 if found is None else found

    async def _read_some(self) -> None:
        world, recovery = self._running.world, self._table.recovery
        left = recovery.active_remaining()
        places = {
            TopicPartition(*tp): position for tp, position in self._consumer.positions.items() if left[tp] > 0
        }
        found = await world.network.call("kafka", world.broker.fetch, places, CHANGES_AT_ONCE, FETCH_WAIT_S)
        for place, (position, records, end, _) in found.items():
            tp = TP(*place)
            if self._consumer.positions[tp] == position and end > position:
                self._consumer.positions[tp] = end
                if world.chance.random() < 0.03:
                    continue  # given up by Faust, which goes on after it
                await self._take(tp, Chunk(place.topic, place.partition, records, position, end, 0))

    async def _take(self, tp: TP, chunk: Chunk) -> None:
        """As Faust's recovery takes an event of a changelog."""
        table, recovery = self._table, self._table.recovery
        offset = chunk.end_offset - 1
        if offset > recovery.active_offsets[tp]:
            recovery.active_offsets[tp] = offset
            buffer = recovery.buffers[table]
            event: Any = SimpleNamespace(message=SimpleNamespace(value=chunk, tp=tp, offset=offset))
            buffer.append(event)
            await table.on_changelog_event(event)
            if len(buffer) >= 2:
                table.apply_changelog_batch(buffer)
                buffer.clear()


class Tables:
    """The tables of an app, as the book's reach and keeper use them."""

    def __init__(self, consumer: SimulatedConsumer) -> None:
        self._consumer = consumer

    def add(self, table: Any) -> None:
        """Note it."""

    @property
    def actives_ready(self) -> bool:
        """Whether it is recovered, and the flow goes on."""
        return self._consumer.flow_active


async def roll_worker(running: Running) -> None:
    """A windows worker, as `streams.rolling` composes it."""
    world, settings = running.world, running.world.settings
    parts = Parts(running, settings.windows_group, settings.entries_topic)
    app: Any = parts.app
    consumer = RecoveringConsumer(parts.consumer)
    app.tables, app.consumer = Tables(parts.consumer), consumer
    keeper = BookKeeper(app, parts.settings, parts.signals)
    table = cast(SimulatedTable, keeper.table)
    book = keeper.book = WindowBook(
        settings.partitions,
        retention_of(parts.settings),
        lambda partition: keeper.store().find(partition),
        AppReach(app, settings.entries_topic),
    )
    checkpoints = keeper.checkpoints = Checkpoints(
        book, keeper.store, parts.publisher, AppPace(app), parts.settings, parts.signals
    )
    rounds = Table(running, table, consumer)
    parts.consumer.prepare, parts.consumer.recover = rounds.prepare, rounds.recover
    world.books_of_windows[running.name] = (running, book)
    parts.begin(
        {settings.entries_topic: RollChunk(book, checkpoints, parts.signals)},
        checkpoints.run(),
        watch_versions(book, parts.settings, parts.signals),
        table.mend_recovery(),
    )


class Reader:
    """The consumer with which a keeper looks whether what it kept is of this changelog."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._assigned: dict[TopicPartition, None] = {}

    async def end_offsets(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where each log ends."""
        await self._world.network.call("kafka", _nothing)
        return {place: self._world.broker.logs[place].end for place in places}

    def assign(self, places: Sequence[TopicPartition]) -> None:
        """Read these."""
        self._assigned = dict.fromkeys(sorted(places))

    async def seek_to_beginning(self) -> None:
        """From their beginning."""

    async def getmany(self, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Any]]:
        """Read on."""
        found = await self._world.network.call(
            "kafka", self._world.broker.fetch, dict.fromkeys(self._assigned, 0), 1, FETCH_WAIT_S
        )
        return {place: records for place, (_, records, _, _) in found.items() if records}

    def pause(self, place: TopicPartition) -> None:
        """No more of this one."""
        self._assigned.pop(place, None)


async def _nothing() -> None:
    pass


def replace_faust(world: World) -> None:
    """Have keepers make tables without Faust, and look at the simulated changelog, while this world lives."""

    async def find_foreign(_: Any, topic: str, kept: Mapping[int, Kept]) -> dict[int, str]:
        return await editions._compare(Reader(world), topic, kept) if kept else {}

    world.stack.enter_context(mock.patch.object(keeping, "WindowTable", SimulatedTable))
    world.stack.enter_context(mock.patch.object(keeping, "find_foreign", find_foreign))
