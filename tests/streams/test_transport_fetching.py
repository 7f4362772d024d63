"""Taking chunks out of aiokafka: with its real fetch results, over batches with holes, without a broker."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.errors import CommitFailedError, IllegalStateError, TopicAuthorizationFailedError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from ledger.config import Settings
from ledger.observability.signals import Facts, Signals
from streams.transport import fetching
from streams.transport.chunk import Chunk
from streams.transport.fetching import ChunkedConsumerThread
from streams.transport.flow import Flow

PLACE = TopicPartition("payments", 0)


def batch(base: int, *offsets: int, last: int | None = None) -> bytes:
    """A batch as the broker keeps it: compaction leaves holes inside, and the batch's own end."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 100_000)
    for offset in (*offsets, *([last] if last is not None else [])):
        assert builder.append(offset - base, 0, b"key", b"value", []) is not None
    return base.to_bytes(8, "big") + bytes(builder.build())[8:]


class FakeFetcher:
    """The part of aiokafka's fetcher that holds what was fetched."""

    def __init__(self) -> None:
        self._records: dict[TopicPartition, object] = {}
        self._wait_consume_future = None
        self._fetch_max_wait_ms = fetching.FETCH_WAIT_MS_MAX
        self.asked = 0
        subscription = SimpleNamespace(assignment=Assignment([PLACE]))
        self._subscriptions = SimpleNamespace(reassignment_in_progress=False, subscription=subscription)

    @property
    def state(self) -> Any:
        """aiokafka's state of the partition."""
        return self._subscriptions.subscription.assignment.state_value(PLACE)

    @property
    def rests(self) -> bool:
        """Whether the partition is kept from being asked for, and the others are not."""
        held = self._records.get(PLACE)
        return isinstance(held, fetching.Resting) and not held.calculate_backoff()

    def _notify(self, _: object) -> None:
        self.asked += 1

    def fetched(self, *batches: bytes, end: int | None = None) -> None:
        """An answer of the broker to a request from the present position; the log is read up to `end`."""
        self.state.highwater = end
        records = PartitionRecords(
            PLACE, MemoryRecords(b"".join(batches)), [], self.state.position, None, None, True, 1
        )
        assignment = self._subscriptions.subscription.assignment
        self._records[PLACE] = FetchResult(PLACE, assignment=assignment, partition_records=records, backoff=1)


class Scene:
    """A consumer thread that never runs, over a fetcher that a test fills."""

    def __init__(self, position: int | None = 0) -> None:
        self.signals: list[str] = []
        self.fetcher = FakeFetcher()
        self.thread = cast(Any, ChunkedConsumerThread.__new__(ChunkedConsumerThread))
        self.thread.flow = Flow(Settings(), Signals(self._listen), ["payments"])
        self.thread._runs = {PLACE: 1}
        if position is not None:
            self.fetcher.state.seek(position)

    def _listen(self, name: str, _: Facts) -> None:
        self.signals.append(name)

    def take(self, records_max: int = 500) -> Chunk | None:
        """The partition's next chunk."""
        chunks: dict[TopicPartition, Chunk] = self.thread._take(self.fetcher, {PLACE}, records_max)
        return chunks.get(PLACE)

    def took(self, records_max: int = 500) -> tuple[int, list[int], int]:
        """The next chunk as start, offsets, end."""
        chunk = self.take(records_max)
        assert chunk is not None
        return chunk.start_offset, [record.offset for record in chunk.records], chunk.end_offset


async def test_a_chunk_holds_what_was_fetched_and_asks_for_more() -> None:
    scene = Scene()
    scene.fetcher.fetched(batch(0, 0, 1, 2))

    assert scene.took() == (0, [0, 1, 2], 3)
    assert scene.fetcher.asked == 1
    assert scene.take() is None


@pytest.mark.parametrize(("busy", "asked"), [(True, 0), (False, 1)])
async def test_at_the_end_of_the_log_more_is_asked_for_when_the_chunk_is_done(busy: bool, asked: int) -> None:
    scene = Scene()
    scene.thread.flow.lanes.append(SimpleNamespace(has_room=lambda _: True, is_busy=lambda _: busy))
    scene.fetcher.fetched(batch(0, 0, 1, 2), end=3)

    assert scene.took() == (0, [0, 1, 2], 3)
    assert scene.fetcher.rests
    assert scene.fetcher.asked == 0
    assert scene.fetcher._fetch_max_wait_ms == fetching.FETCH_WAIT_MS_BESIDE
    assert scene.take() is None
    assert scene.fetcher.rests is busy
    assert scene.fetcher.asked == asked
    assert (scene.fetcher._fetch_max_wait_ms == fetching.FETCH_WAIT_MS_BESIDE) is busy


async def test_others_are_not_asked_again_and_again_beside_a_partition_that_rests_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetching, "RESTING_S", 0.0)
    scene = Scene()
    scene.fetcher.fetched(batch(0, 0, 1, 2), end=3)

    assert scene.took() == (0, [0, 1, 2], 3)
    assert scene.fetcher._fetch_max_wait_ms == fetching.FETCH_WAIT_MS_MAX


async def test_a_fetch_that_gives_no_chunk_is_asked_for_again_though_it_is_at_the_end() -> None:
    scene = Scene()
    scene.fetcher.fetched(batch(0, 0, 1, 2), end=3)

    assert scene.took(3) == (0, [0, 1, 2], 3)
    assert scene.take() is None
    assert (scene.fetcher._records, scene.fetcher.asked) == ({}, 1)


async def test_before_the_end_of_the_log_more_is_asked_for_at_once() -> None:
    scene = Scene()
    scene.fetcher.fetched(batch(0, 0, 1, 2), end=4)

    assert scene.took() == (0, [0, 1, 2], 3)
    assert (scene.fetcher.asked, scene.fetcher._records) == (1, {})


async def test_a_chunk_takes_no_more_than_its_maximum_and_the_next_goes_on_there() -> None:
    scene = Scene()
    scene.fetcher.fetched(batch(0, 0, 1, 2, 3, 4))

    assert scene.took(2) == (0, [0, 1], 2)
    assert scene.took(2) == (2, [2, 3], 4)
    assert scene.took(2) == (4, [4], 5)


async def test_a_chunk_ends_where_its_bytes_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "CHUNK_BYTES_MAX", 15)  # a record has 8 bytes
    scene = Scene()
    scene.fetcher.fetched(batch(0, 0, 1, 2))

    assert scene.took() == (0, [0, 1], 2)
    assert scene.took() == (2, [2], 3)


async def test_chunks_touch_across_holes_before_between_and_inside_batches() -> None:
    scene = Scene(position=5)
    scene.fetcher.fetched(batch(7, 7, 9), batch(20, 20, 25))

    assert scene.took(3) == (5, [7, 9, 20], 21)
    assert scene.took(3) == (21, [25], 26)


async def test_a_record_below_the_position_is_not_taken_again() -> None:
    scene = Scene(position=2)
    scene.fetcher.fetched(batch(0, 0, 1, 2, 3))

    assert scene.took() == (2, [2, 3], 4)


async def test_what_was_fetched_before_a_seek_is_not_taken_after_it() -> None:
    scene = Scene()
    scene.fetcher.fetched(batch(0, 0, 1, 2))
    scene.fetcher.state.seek(100)

    assert scene.take() is None


async def test_what_was_fetched_under_an_assignment_that_is_gone_is_not_taken() -> None:
    scene = Scene()
    scene.fetcher.fetched(batch(0, 0, 1, 2))
    scene.fetcher._subscriptions.subscription.assignment = Assignment([])

    assert scene.take() is None
    assert scene.fetcher._records == {}


@pytest.mark.parametrize("obstacle", ["rebalance", "no run", "full lane", "paused"])
async def test_nothing_is_taken_from_a_partition_that_must_wait(obstacle: str) -> None:
    scene = Scene()
    scene.fetcher.fetched(batch(0, 0, 1, 2))
    active = {PLACE}
    if obstacle == "rebalance":
        scene.fetcher._subscriptions.reassignment_in_progress = True
    elif obstacle == "no run":
        scene.thread.end_runs()
    elif obstacle == "full lane":
        scene.thread.flow.lanes.append(SimpleNamespace(has_room=lambda _: False))
    else:
        active = set()

    assert scene.thread._take(scene.fetcher, active, 500) == {}
    assert PLACE in scene.fetcher._records


async def test_an_error_of_the_broker_is_raised_once() -> None:
    scene = Scene()
    scene.fetcher._records[PLACE] = FetchError(error=TopicAuthorizationFailedError(), backoff=0)

    with pytest.raises(TopicAuthorizationFailedError):
        scene.take()
    assert scene.take() is None


class FakeAiokafka:
    """A consumer whose commits end as the test says."""

    def __init__(self, fault: Exception | None) -> None:
        self.committed: dict[TopicPartition, Any] = {}
        self._fault = fault

    def assignment(self) -> set[TopicPartition]:
        """One partition."""
        return {PLACE}

    async def commit(self, offsets: dict[TopicPartition, Any]) -> None:
        """Note it, or fail."""
        if self._fault is not None:
            raise self._fault
        self.committed.update(offsets)


def committing(fault: Exception | None = None) -> tuple[Scene, FakeAiokafka]:
    """A thread over such a consumer."""
    scene, consumer = Scene(), FakeAiokafka(fault)
    scene.thread._consumer = consumer
    return scene, consumer


@pytest.mark.parametrize("refusal", [CommitFailedError(), IllegalStateError("not assigned")])
async def test_a_commit_that_races_a_rebalance_is_refused_quietly(refusal: Exception) -> None:
    scene, _ = committing(refusal)

    assert not await scene.thread._commit({PLACE: 5})
    assert scene.signals == ["frontier.commit_refused"]


async def test_only_partitions_that_are_held_are_committed() -> None:
    scene, consumer = committing()

    assert await scene.thread._commit({PLACE: 5, TopicPartition("payments", 9): 7})
    assert {place: meta.offset for place, meta in consumer.committed.items()} == {PLACE: 5}
    assert not await scene.thread._commit({TopicPartition("payments", 9): 7})
