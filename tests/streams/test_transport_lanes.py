"""Lanes: order inside a partition, partitions side by side, and what happens to chunks that must not be handled."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from ledger.adapters.kafka.records import FetchedRecord
from ledger.config import Settings
from ledger.observability.signals import Facts, Signals
from streams.transport.app import ChunkedApp
from streams.transport.chunk import Chunk
from streams.transport.flow import Flow
from streams.transport.lanes import PartitionLanes

TOPIC = "payments"


class FakeEvent:
    """A Faust event, as far as lanes use it."""

    def __init__(self, value: Chunk) -> None:
        self.value = value
        self.acked = 0

    def ack(self) -> None:
        """Count."""
        self.acked += 1


class FakeStream:
    """A stream that is fed by a test."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[FakeEvent] = asyncio.Queue()

    def noack(self) -> "FakeStream":
        """Acks are the lanes' business."""
        return self

    async def events(self) -> AsyncIterator[FakeEvent]:
        """What was put, for ever."""
        while True:
            yield await self._events.get()

    def put(self, chunk: Chunk) -> FakeEvent:
        """Deliver a chunk."""
        event = FakeEvent(chunk)
        self._events.put_nowait(event)
        return event


class FakeConsumer:
    """Notes what lanes ask of the consumer."""

    def __init__(self) -> None:
        self.mended: list[tuple[TopicPartition, int]] = []
        self.followed: list[Chunk] = []
        self.woken = 0

    async def mend_gap(self, place: TopicPartition, begins: int) -> None:
        """Note it."""
        self.mended.append((place, begins))

    async def follow_log_back(self, chunk: Chunk) -> None:
        """Note it."""
        self.followed.append(chunk)

    def wake(self) -> None:
        """Count."""
        self.woken += 1


class FakeApp:
    """An app with a flow and a consumer, that notes why it crashed."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.consumer = FakeConsumer()
        self.crashes: list[Exception] = []

    async def crash(self, reason: Exception) -> None:
        """Note it."""
        self.crashes.append(reason)


class Scene:
    """Lanes over two partitions that begin at 0, with a handler given by the test."""

    def __init__(self, handler: Callable[[Chunk], Awaitable[None]], **settings: Any) -> None:
        self.signals: list[str] = []
        self.flow = Flow(Settings(**settings), Signals(self._listen), [TOPIC])
        self.flow.frontiers.open()
        for partition in (0, 1):
            self.flow.frontiers.start(TopicPartition(TOPIC, partition), 0, 0, run=1, now=0.0)
        self.app = FakeApp(self.flow)
        self.lanes = PartitionLanes(cast(ChunkedApp, self.app), handler)
        self.stream = FakeStream()
        self.agent = asyncio.create_task(self.lanes.run(cast(Any, self.stream)))

    def _listen(self, name: str, _: Facts) -> None:
        self.signals.append(name)

    def frontier(self, partition: int = 0) -> int:
        """The partition's frontier."""
        frontier = self.flow.frontiers.get(TopicPartition(TOPIC, partition))
        assert frontier is not None
        return frontier.offset

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the lanes work until something is so."""
        async with asyncio.timeout(5.0):
            while not condition():  # noqa: ASYNC110  # the condition has no event
                await asyncio.sleep(0)

    async def end(self) -> None:
        """Stop the agent."""
        self.agent.cancel()
        await asyncio.gather(self.agent, return_exceptions=True)


def chunk(start: int, end: int, *, partition: int = 0, run: int = 1) -> Chunk:
    """A chunk with a record at every offset."""
    records = [
        FetchedRecord(TOPIC, partition, offset, 0, 0, None, b"", None, 0, 0, ())
        for offset in range(start, end)
    ]
    return Chunk(TOPIC, partition, records, start, end, run)


class Recorder:
    """A handler that notes what begins and what ends, and waits until it is let go."""

    def __init__(self, *, held: bool = False) -> None:
        self.begun: list[tuple[int, int]] = []
        self.done: list[tuple[int, int]] = []
        self.go_on = asyncio.Event()
        if not held:
            self.go_on.set()

    async def __call__(self, chunk: Chunk) -> None:
        """Handle one chunk."""
        self.begun.append((chunk.partition, chunk.start_offset))
        await self.go_on.wait()
        self.done.append((chunk.partition, chunk.start_offset))


async def test_a_handled_chunk_moves_the_frontier_and_is_released() -> None:
    scene = Scene(Recorder())
    event = scene.stream.put(chunk(0, 5))

    await scene.until(lambda: event.acked == 1)
    assert scene.frontier() == 5
    assert scene.signals == ["chunk.joined"]
    await scene.end()


async def test_the_frontier_does_not_move_while_the_handler_works() -> None:
    recorder = Recorder(held=True)
    scene = Scene(recorder)
    event = scene.stream.put(chunk(0, 5))

    await scene.until(lambda: bool(recorder.begun))
    assert (scene.frontier(), event.acked) == (0, 0)
    recorder.go_on.set()
    await scene.end()


async def test_a_partition_is_worked_in_order_and_another_beside_it() -> None:
    recorder = Recorder(held=True)
    scene = Scene(recorder)
    last = [scene.stream.put(each) for each in (chunk(0, 5), chunk(5, 9), chunk(0, 3, partition=1))][-2]

    await scene.until(lambda: len(recorder.begun) == 2)
    assert recorder.begun == [(0, 0), (1, 0)]
    recorder.go_on.set()
    await scene.until(lambda: last.acked == 1)
    assert [start for partition, start in recorder.done if partition == 0] == [0, 5]
    await scene.end()


async def test_one_chunk_may_wait_while_another_runs() -> None:
    recorder = Recorder(held=True)
    scene = Scene(recorder)
    place = TopicPartition(TOPIC, 0)
    events = [scene.stream.put(chunk(start, start + 5)) for start in (0, 5)]

    await scene.until(lambda: not scene.flow.has_room(place))
    assert scene.flow.has_room(TopicPartition(TOPIC, 1))
    recorder.go_on.set()
    await scene.until(lambda: events[-1].acked == 1)
    assert scene.flow.has_room(place)
    assert scene.app.consumer.woken == 3
    await scene.end()


async def test_a_chunk_that_is_only_a_hole_goes_to_the_handler() -> None:
    recorder = Recorder()
    scene = Scene(recorder)
    event = scene.stream.put(Chunk(TOPIC, 0, [], 0, 7, 1))

    await scene.until(lambda: event.acked == 1)
    assert (scene.frontier(), recorder.begun) == (7, [(0, 0)])
    assert scene.signals == ["chunk.joined", "hole.crossed"]
    await scene.end()


@pytest.mark.parametrize("stray", [chunk(0, 5, run=9), chunk(0, 5, partition=7)])
async def test_a_chunk_of_no_run_is_released_unhandled(stray: Chunk) -> None:
    recorder = Recorder()
    scene = Scene(recorder)
    event = scene.stream.put(stray)

    await scene.until(lambda: event.acked == 1)
    assert (recorder.begun, scene.signals) == ([], ["chunk.stale"])
    await scene.end()


async def test_a_chunk_after_a_gap_is_not_handled_but_mended() -> None:
    recorder = Recorder()
    scene = Scene(recorder)
    event = scene.stream.put(chunk(3, 5))

    await scene.until(lambda: event.acked == 1)
    assert (recorder.begun, scene.frontier()) == ([], 0)
    assert scene.app.consumer.mended == [(TopicPartition(TOPIC, 0), 3)]
    await scene.end()


async def test_a_log_that_went_back_is_followed() -> None:
    scene = Scene(Recorder())
    scene.flow.frontiers.restart(TopicPartition(TOPIC, 0), 50, run=2, now=0.0)
    event = scene.stream.put(chunk(0, 5, run=2))

    await scene.until(lambda: event.acked == 1)
    assert [each.start_offset for each in scene.app.consumer.followed] == [0]
    await scene.end()


async def test_a_fault_crashes_the_app_and_nothing_after_it_is_handled() -> None:
    begun: list[int] = []

    async def handler(chunk: Chunk) -> None:
        begun.append(chunk.start_offset)
        raise RuntimeError("the books do not answer")

    scene = Scene(handler)
    events = [scene.stream.put(each) for each in (chunk(0, 5), chunk(5, 9))]

    await scene.until(lambda: all(event.acked == 1 for event in events))
    assert (begun, scene.frontier()) == ([0], 0)
    assert [str(reason) for reason in scene.app.crashes] == ["the books do not answer"]
    late = scene.stream.put(chunk(0, 5, partition=1))
    await scene.until(lambda: late.acked == 1)
    assert begun == [0]
    await scene.end()


async def test_when_the_flow_stops_the_running_chunk_ends_and_the_waiting_are_dropped() -> None:
    recorder = Recorder(held=True)
    scene = Scene(recorder)
    running, waiting = [scene.stream.put(each) for each in (chunk(0, 5), chunk(5, 9))]
    await scene.until(lambda: not scene.lanes.has_room(TopicPartition(TOPIC, 0)) or bool(recorder.begun))
    await scene.until(lambda: scene.lanes.is_busy(TopicPartition(TOPIC, 0)))
    await asyncio.sleep(0)

    scene.flow.drop_waiting()
    assert (running.acked, waiting.acked) == (0, 1)
    recorder.go_on.set()
    await scene.until(lambda: running.acked == 1)
    assert scene.frontier() == 5
    await scene.end()


async def test_a_running_chunk_is_given_up_before_the_rebalance_times_out() -> None:
    recorder = Recorder(held=True)
    scene = Scene(recorder, rebalance_timeout_s=0.1)
    event = scene.stream.put(chunk(0, 5))
    await scene.until(lambda: bool(recorder.begun))

    scene.flow.drop_waiting()
    await scene.until(lambda: event.acked == 1)
    assert (scene.frontier(), recorder.done) == (0, [])
    assert scene.signals == ["chunk.given_up"]
    assert not scene.lanes.is_busy(TopicPartition(TOPIC, 0))
    await scene.end()


async def test_a_lane_works_on_after_a_chunk_was_given_up() -> None:
    recorder = Recorder(held=True)
    scene = Scene(recorder, rebalance_timeout_s=0.1)
    scene.stream.put(chunk(0, 5))
    await scene.until(lambda: bool(recorder.begun))
    scene.flow.drop_waiting()
    await scene.until(lambda: not scene.lanes.is_busy(TopicPartition(TOPIC, 0)))

    recorder.go_on.set()
    again = scene.stream.put(chunk(0, 5))
    await scene.until(lambda: again.acked == 1)
    assert scene.frontier() == 5
    await scene.end()
