"""Planted bugs of the flow: frontiers, lanes, publishing, windows."""

from time import monotonic
from typing import Any

from streams.transport.frontier import Verdict
from tests.planted.bug import Bug, found, replace

FRONTIER = "streams.transport.frontier"
LANES = "streams.transport.lanes:PartitionLanes"
SHELF = "streams.windows.shelf"
FRONTIER_TESTS = ("tests/streams/test_transport_frontier.py",)
LANES_TESTS = ("tests/streams/test_transport_lanes.py",)
BOOK_TESTS = ("tests/streams/test_windows_book.py",)


def frontier_passes_a_gap() -> None:
    genuine = found(f"{FRONTIER}:Frontiers.judge")

    def judge(self: Any, chunk: Any) -> Verdict:
        verdict = genuine(self, chunk)
        return Verdict.JOINS if verdict is Verdict.GAP else Verdict(verdict)

    replace(f"{FRONTIER}:Frontiers.judge", judge)


def old_run_moves_the_frontier() -> None:
    def advance(self: Any, chunk: Any, now: float) -> bool:
        frontier = self.get(chunk.place)
        if frontier is None or chunk.end_offset <= frontier.offset:
            return False
        frontier.offset, frontier.advanced_at = chunk.end_offset, now
        return True

    replace(f"{FRONTIER}:Frontiers.advance", advance)


def frontier_outlives_its_assignment() -> None:
    replace(f"{FRONTIER}:Frontiers.close", lambda self: None)


def ack_before_commit() -> None:
    async def handle(self: Any, event: Any, chunk: Any) -> None:
        self._flow.frontiers.advance(chunk, monotonic())
        await self._handler(chunk)

    replace(f"{LANES}._handle", handle)


def ack_in_spite_of_a_fault() -> None:
    genuine = found(f"{LANES}._fail")

    async def fail(self: Any, chunk: Any, fault: Exception) -> None:
        self._flow.frontiers.advance(chunk, monotonic())
        await genuine(self, chunk, fault)

    replace(f"{LANES}._fail", fail)


def lane_goes_on_after_a_fault() -> None:
    async def fail(self: Any, chunk: Any, fault: Exception) -> None:
        self._emit("handler.failed", chunk, error=repr(fault))

    replace(f"{LANES}._fail", fail)


def lost_tails_are_not_looked_for() -> None:
    replace(f"{FRONTIER}:LostTails.look", lambda self, positions, busy: [])


def publishing_out_of_order() -> None:
    class Open:
        async def __aenter__(self) -> None:
            """Let everybody in."""

        async def __aexit__(self, *given: object) -> None:
            """Nobody was kept out."""

    genuine = found("streams.agents.post_events:PostChunk.__init__")

    def init(self: Any, *given: Any) -> None:
        genuine(self, *given)
        self._in_order_of_commits = Open()

    replace("streams.agents.post_events:PostChunk.__init__", init)


def window_counted_twice() -> None:
    genuine = found("ledger.domain.window:merge")

    changed = found("msgspec.structs:replace")

    def twice(one: Any, other: Any) -> Any:
        both = genuine(one, other)
        if one.first_version <= other.first_version and other.last_version <= one.last_version:
            return changed(
                one, closing_credits=one.closing_credits + other.closing_credits - other.opening_credits
            )
        return both

    for module in ("ledger.domain.window", SHELF, "ledger.domain.life"):
        replace(f"{module}:merge", twice)


def late_entry_dropped() -> None:
    genuine = found(f"{SHELF}:Shelf.take")

    def take(self: Any, entries: Any) -> int:
        kept = [
            each
            for each in entries
            if self.stream_time_us is None or each[1].last_posted_at_us >= self.stream_time_us
        ]
        return int(genuine(self, kept))

    replace(f"{SHELF}:Shelf.take", take)


def frontier_before_the_checkpoint() -> None:
    async def contains(self: Any, partition: int, end_offset: int, records: int) -> None:
        self._came.set()

    replace("streams.windows.checkpoints:Checkpoints.contains", contains)


BUGS = (
    Bug(
        "a chunk after a gap moves the frontier past what was dropped", frontier_passes_a_gap, FRONTIER_TESTS
    ),
    Bug("a chunk of an old generation moves the frontier", old_run_moves_the_frontier, FRONTIER_TESTS),
    Bug("a frontier outlives its assignment", frontier_outlives_its_assignment, FRONTIER_TESTS),
    Bug("a chunk counts as done before its commit", ack_before_commit, LANES_TESTS),
    Bug("a chunk counts as done though its handler failed", ack_in_spite_of_a_fault, LANES_TESTS),
    Bug("a lane goes on after a chunk that failed", lane_goes_on_after_a_fault, LANES_TESTS),
    Bug("a dropped chunk with nothing after it is not missed", lost_tails_are_not_looked_for, FRONTIER_TESTS),
    Bug(
        "what is published overtakes what was committed before",
        publishing_out_of_order,
        ("tests/streams/test_post_chunk.py",),
    ),
    Bug("an entry that comes twice counts twice in its window", window_counted_twice, BOOK_TESTS),
    Bug("an entry that comes late is left out of its window", late_entry_dropped, BOOK_TESTS),
    Bug(
        "the windows' frontier moves before the checkpoint",
        frontier_before_the_checkpoint,
        ("tests/streams/test_windows_book.py::test_a_chunk_waits_for_the_checkpoint_after_it",),
    ),
)
