"""The joining rule: what a chunk may do to a frontier, by table, and against a log that drops chunks at random."""

from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.adapters.kafka.records import FetchedRecord
from streams.transport.chunk import Chunk
from streams.transport.frontier import Frontiers, LostTails, Verdict

PLACE = TopicPartition("payments", 0)


def chunk(start: int, end: int, run: int = 1, partition: int = 0) -> Chunk:
    """A chunk without records: the frontier looks only at offsets."""
    return Chunk("payments", partition, (), start, end, run)


@pytest.fixture
def frontiers() -> Frontiers:
    """One partition, begun at 100 in run 1, with 100 committed."""
    made = Frontiers()
    made.open()
    made.start(PLACE, 100, 100, run=1, now=0.0)
    return made


@pytest.mark.parametrize(
    ("candidate", "verdict"),
    [
        (chunk(100, 110), Verdict.JOINS),
        (chunk(105, 110), Verdict.GAP),
        (chunk(90, 110), Verdict.WENT_BACK),
        (chunk(100, 110, run=2), Verdict.STALE),
        (chunk(100, 110, run=0), Verdict.STALE),
        (chunk(100, 110, partition=1), Verdict.STALE),
    ],
)
def test_a_chunk_is_judged_by_its_run_and_its_offsets(
    frontiers: Frontiers, candidate: Chunk, verdict: Verdict
) -> None:
    assert frontiers.judge(candidate) is verdict


@pytest.mark.parametrize(
    ("candidate", "verdict"),
    [(chunk(100, 120), Verdict.JOINS), (chunk(100, 110), Verdict.BELOW), (chunk(110, 111), Verdict.JOINS)],
)
def test_a_chunk_that_reaches_past_the_frontier_joins(
    frontiers: Frontiers, candidate: Chunk, verdict: Verdict
) -> None:
    frontiers.advance(chunk(100, 110), now=1.0)

    assert frontiers.judge(candidate) is verdict


def test_advancing_moves_to_the_end_of_the_chunk_and_notes_when(frontiers: Frontiers) -> None:
    assert frontiers.advance(chunk(100, 110), now=5.0)

    frontier = frontiers.get(PLACE)
    assert frontier is not None
    assert (frontier.offset, frontier.advanced_at) == (110, 5.0)


def test_a_chunk_of_another_run_moves_nothing(frontiers: Frontiers) -> None:
    frontiers.restart(PLACE, 100, run=2, now=1.0)

    assert not frontiers.advance(chunk(100, 110, run=1), now=2.0)
    assert frontiers.to_commit() == {}


def test_a_chunk_of_a_lost_partition_moves_nothing(frontiers: Frontiers) -> None:
    frontiers.close()

    assert not frontiers.advance(chunk(100, 110), now=2.0)
    assert frontiers.judge(chunk(100, 110)) is Verdict.STALE


def test_a_seek_that_ends_after_its_assignment_begins_nothing(frontiers: Frontiers) -> None:
    frontiers.close()
    frontiers.start(PLACE, 100, 100, run=2, now=1.0)

    assert list(frontiers.held()) == []


def test_only_what_kafka_does_not_know_is_committed(frontiers: Frontiers) -> None:
    assert frontiers.to_commit() == {}

    frontiers.advance(chunk(100, 110), now=1.0)
    assert frontiers.to_commit() == {PLACE: 110}

    frontiers.committed({PLACE: 110, TopicPartition("payments", 9): 5})
    assert frontiers.to_commit() == {}


def test_a_new_group_commits_its_beginning(frontiers: Frontiers) -> None:
    frontiers.start(PLACE, 0, None, run=2, now=0.0)

    assert frontiers.to_commit() == {PLACE: 0}


def test_a_log_that_went_back_takes_the_committed_offset_back(frontiers: Frontiers) -> None:
    frontiers.restart(PLACE, 3, run=2, now=0.0)

    assert frontiers.judge(chunk(3, 8, run=2)) is Verdict.JOINS
    assert frontiers.to_commit() == {PLACE: 3}


@dataclass
class Worker:
    """What a worker does with one partition, with Faust's bad habits under the control of a test."""

    readable: list[int]
    end: int
    frontiers: Frontiers = field(default_factory=Frontiers)
    position: int = 0
    run: int = 0
    under_way: list[Chunk] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tails = LostTails(self.frontiers)

    def seek(self, offset: int) -> int:
        """Begin a new run."""
        self.position, self.run = offset, self.run + 1
        return self.run

    def assigned(self, committed: int | None) -> None:
        """Begin at what Kafka knows, or at the log's beginning."""
        self.frontiers.open()
        start = 0 if committed is None else committed
        self.frontiers.start(PLACE, start, committed, self.seek(start), 0.0)

    def fetch(self, length: int, lost: bool) -> None:
        """Read up to `length` offsets; `lost`: Faust drops them on the way."""
        start, self.position = self.position, min(self.end, self.position + length)
        offsets = [offset for offset in self.readable if start <= offset < self.position]
        records = [
            FetchedRecord("payments", 0, offset, 0, 0, None, None, None, 0, 0, ()) for offset in offsets
        ]
        if start < self.position and not lost:
            self.under_way.append(Chunk("payments", 0, records, start, self.position, self.run))

    def look(self) -> None:
        """Look for chunks that were lost with nothing after them, as the consumer does each second."""
        for place in self.tails.look({PLACE: self.position}, lambda _: bool(self.under_way)):
            self.mend(place)

    def mend(self, place: TopicPartition) -> None:
        """Seek back to the frontier."""
        frontier = self.frontiers.get(place)
        assert frontier is not None
        self.frontiers.restart(place, frontier.offset, self.seek(frontier.offset), 0.0)

    def take(self) -> list[int]:
        """Judge the oldest chunk as a lane does; gives the offsets that reached the handler."""
        candidate = self.under_way.pop(0)
        verdict = self.frontiers.judge(candidate)
        if verdict is Verdict.GAP:
            self.mend(PLACE)
        if verdict is not Verdict.JOINS:
            return []
        self.frontiers.advance(candidate, 0.0)
        return [record.offset for record in candidate.records]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["fetch", "fetch", "fetch", "drop", "take", "take", "look", "commit", "rebalance", "kill"]
        ),
        st.integers(min_value=1, max_value=7),
    ),
    max_size=60,
)


QUIET = [*[("take", 0)] * 60, *[("look", 0)] * 2, *[("fetch", 5), ("take", 0)] * 60, ("commit", 0)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), STEPS)
def test_nothing_is_committed_before_it_was_handled_and_all_is_handled_in_the_end(
    log: list[bool], steps: list[tuple[str, int]]
) -> None:
    readable = [offset for offset, there in enumerate(log) if there]
    committed: int | None = None
    handled: set[int] = set()
    worker = Worker(readable, len(log))
    worker.assigned(committed)
    for step, length in [*steps, *QUIET]:
        if step in {"fetch", "drop"}:
            worker.fetch(length, lost=step == "drop")
        elif step == "take" and worker.under_way:
            handled.update(worker.take())
        elif step == "look":
            worker.look()
        elif step in {"commit", "rebalance"}:
            committed = worker.frontiers.to_commit().get(PLACE, committed)
            worker.frontiers.committed({PLACE: committed or 0})
        if step in {"rebalance", "kill"}:
            # What is under way at a rebalance may stay under way: it must not be taken for the new run's.
            worker.frontiers.close()
            worker.assigned(committed)
        assert not [offset for offset in readable if offset < (committed or 0) and offset not in handled]
    assert handled == set(readable)
    assert committed == len(log)


def test_a_partition_that_is_read_beyond_its_frontier_and_idle_is_lost_at_the_second_look(
    frontiers: Frontiers,
) -> None:
    tails = LostTails(frontiers)

    assert tails.look({PLACE: 110}, lambda _: False) == []
    assert tails.look({PLACE: 110}, lambda _: False) == [PLACE]


@pytest.mark.parametrize(
    ("position", "busy", "run"),
    [(100, False, 1), (110, True, 1), (120, False, 1), (110, False, 2)],
    ids=["at the frontier", "its lane works", "it was read on", "it was sought"],
)
def test_a_partition_that_may_still_come_is_not_lost(
    frontiers: Frontiers, position: int, busy: bool, run: int
) -> None:
    tails = LostTails(frontiers)
    tails.look({PLACE: 110}, lambda _: False)
    if run != 1:
        frontiers.restart(PLACE, 100, run, now=1.0)

    assert tails.look({PLACE: position}, lambda _: busy) == []
