"""The book of windows: whatever is delivered again, cut into chunks or lost in a crash, windows come out the same."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.life import is_complete
from ledger.domain.window import WindowSize
from ledger.observability.signals import Signals
from streams.transport.publisher import Appended, Outgoing
from streams.windows.checkpoints import Checkpoints
from streams.windows.missing import MissingVersions
from streams.windows.shelf import read_value
from tests.streams.window_simulation import HOUR_S, SETTINGS, AtOnce, Changelog, ListPublisher, Simulation
from tests.window_history import (
    BEGIN_S,
    DAY_S,
    Entry,
    history,
    moves,
    naive_holes,
    naive_window,
    naive_windows,
)

ANN, BOB = "acme/ann USD/2", "acme/bob USD/2"
FOR_EVER = 2**40


@st.composite
def streams(draw: st.DrawFn) -> list[Entry]:
    """Entries of two accounts as they may lie in a partition: out of order for a moment, and some of them twice."""
    both = [history(name, draw(st.lists(moves, min_size=1, max_size=20))) for name in (ANN, BOB)]
    entries = sorted(both[0] + both[1], key=lambda entry: entry.at_us)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(entries) - 1))
        entries.insert(draw(st.integers(0, len(entries))), entries[at])
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(entries) - 1))
        entries.insert(min(len(entries), at + draw(st.integers(1, 4))), entries.pop(at))
    return entries


steps = st.one_of(
    st.tuples(st.just("merge"), st.integers(1, 12)),
    st.tuples(st.just("checkpoint"), st.just(0)),
    st.tuples(st.just("crash in a checkpoint"), st.integers(0, 14)),
    st.tuples(st.just("crash before the commit"), st.just(0)),
    st.tuples(st.just("crash"), st.just(0)),
)


def run(simulation: Simulation, script: Sequence[tuple[str, int]]) -> None:
    for what, count in script:
        if what == "merge":
            simulation.merge(count)
        elif what == "checkpoint":
            simulation.checkpoint()
        elif what == "crash in a checkpoint":
            simulation.checkpoint(count)
        elif what == "crash before the commit":
            simulation.checkpoint(commit=False)
        else:
            simulation.start()


def assert_same_as_naive(simulation: Simulation, entries: Sequence[Entry]) -> None:
    for name in (ANN, BOB):
        mine = [entry for entry in entries if entry.name == name]
        tenant, account, asset = name.split("/", 1)[0], name.split("/", 1)[1].split(" ")[0], "USD/2"
        life = simulation.book.life(0, tenant, account, asset)
        assert life is not None
        truth: Any = naive_window(mine)
        assert (life.last_version, life.low, life.high) == (truth.last_version, truth.low, truth.high)
        assert life.holes == naive_holes(entry.version for entry in mine)
        for size in WindowSize:
            since = simulation.book.kept_from(0, size)
            found = simulation.book.windows(0, tenant, account, asset, size, 0, FOR_EVER, 1000)
            expected = {start: each for start, each in naive_windows(mine, size).items() if start >= since}
            assert dict(found) == expected, (name, size)
            assert all(is_complete(window, life) for _, window in found)


@given(streams(), st.lists(steps, max_size=25))
@settings(max_examples=150)
def test_any_chunks_any_repetition_and_any_crash_give_the_same_windows(
    stream: list[Entry], script: list[tuple[str, int]]
) -> None:
    simulation = Simulation(stream)
    run(simulation, script)
    simulation.finish()
    assert_same_as_naive(simulation, stream)


@given(streams(), st.lists(steps, max_size=25))
def test_the_changelog_alone_gives_them_as_well(stream: list[Entry], script: list[tuple[str, int]]) -> None:
    simulation = Simulation(stream)
    run(simulation, script)
    simulation.finish()
    simulation.start()
    assert_same_as_naive(simulation, stream)


@given(streams(), st.lists(steps, max_size=20), st.data())
def test_what_a_stopped_worker_sends_late_changes_nothing(
    stream: list[Entry], script: list[tuple[str, int]], data: st.DataObject
) -> None:
    simulation = Simulation(stream)
    run(simulation, script)
    simulation.finish()
    values = [record for record in simulation.changelog if record[1] is not None]
    simulation.changelog += data.draw(st.lists(st.sampled_from(values), max_size=8))
    simulation.start()
    simulation.checkpoint()
    compacted = list(dict(simulation.changelog).items())
    simulation.changelog[:] = compacted
    simulation.start()
    simulation.checkpoint()
    assert_same_as_naive(simulation, stream)


def test_windows_of_the_past_go_into_larger_ones_and_leave_tombstones() -> None:
    simulation = Simulation(history(ANN, [(1, 0), (2, 2 * HOUR_S), (3, 5 * DAY_S), (4, 30 * DAY_S)]))
    for _ in simulation.stream:
        simulation.merge(1)
        simulation.checkpoint()
    day = BEGIN_S - BEGIN_S % DAY_S
    minutes = [b" 1m %d" % (BEGIN_S + ago) for ago in (0, 2 * HOUR_S, 5 * DAY_S + 2 * HOUR_S)]
    gone = {key for key, value in simulation.changelog if value is None}
    larger = (b" 1h %d" % BEGIN_S, b" 1d %d" % day)
    assert gone == {ANN.encode() + suffix for suffix in (*minutes, *larger)}
    held = simulation.book.held()
    assert sum(held.windows.values()) == 1
    assert held.lives == 1


def test_nothing_is_gone_before_what_took_it_over_is_written() -> None:
    simulation = Simulation(history(ANN, [(1, 0), (2, 2 * HOUR_S)]))
    simulation.merge(2)
    simulation.checkpoint()
    changelog = [key for key, _ in simulation.changelog]
    hour, minute = (b"%b %b %d" % (ANN.encode(), size, BEGIN_S) for size in (b"1h", b"1m"))
    assert changelog.index(hour) < changelog.index(minute)
    assert dict(simulation.changelog)[minute] is None


def test_a_chunk_delivered_again_writes_nothing() -> None:
    simulation = Simulation(history(ANN, [(1, 1)] * 10))
    simulation.merge(10)
    simulation.checkpoint()
    written = len(simulation.changelog)
    simulation.position = 0
    simulation.merge(10)
    simulation.checkpoint()
    assert len(simulation.changelog) == written


def test_the_first_record_of_a_changelog_says_of_which_making_it_is() -> None:
    simulation = Simulation(history(ANN, [(1, 1)] * 3))
    for _ in range(3):
        simulation.merge(1)
        simulation.checkpoint()
    assert [key for key, _ in simulation.changelog].index(b"edition") == 0
    assert [key for key, _ in simulation.changelog].count(b"edition") == 1


def test_where_others_wrote_in_between_the_table_stays_where_it_was() -> None:
    simulation = Simulation(history(ANN, [(1, 1)] * 6))
    simulation.merge(2)
    simulation.checkpoint()
    before = simulation.store.offset(0)
    simulation.changelog.append(simulation.changelog[-1])
    simulation.merge(2)
    simulation.checkpoint()
    assert simulation.store.offset(0) == before


def test_a_chunk_waits_for_the_checkpoint_after_it() -> None:
    async def scene() -> list[bool]:
        simulation = Simulation(history(ANN, [(1, 1)] * 3))
        simulation.merge(3)
        waiting = asyncio.ensure_future(simulation.checkpoints.contains(0, 3, 3))
        await asyncio.sleep(0)
        before = waiting.done()
        await simulation.checkpoints.write()
        await waiting
        return [before, waiting.done()]

    assert asyncio.run(scene()) == [False, True]


def test_values_are_read_back_as_what_they_are() -> None:
    simulation = Simulation(history(ANN, [(1, 1), (2, 1)]))
    simulation.merge(2)
    simulation.checkpoint()
    stored = {key: value for key, value in simulation.changelog if value is not None and key != b"edition"}
    life = simulation.book.life(0, "acme", "ann", "USD/2")
    assert read_value(ANN.encode(), stored[ANN.encode()]) == life


# Versions that do not come


def test_a_version_is_told_when_it_is_missing_for_too_long_and_only_once() -> None:
    watch = MissingVersions(5.0)
    assert watch.look(0.0, [b"a"]).missing == []
    assert watch.look(4.0, [b"a", b"b"]).missing == []
    assert watch.look(6.0, [b"a", b"b"]).missing == [b"a"]
    assert watch.look(7.0, [b"a", b"b"]).missing == []
    assert watch.look(20.0, [b"a"]) == ([], [])
    assert watch.look(21.0, []) == ([], [b"a"])


def test_what_comes_in_time_is_never_told() -> None:
    watch = MissingVersions(5.0)
    watch.look(0.0, [b"a"])
    watch.look(4.0, [])
    assert watch.look(8.0, [b"a"]).missing == []
    assert watch.look(12.0, []) == ([], [])


def test_no_more_is_remembered_than_allowed() -> None:
    watch = MissingVersions(1.0, tracked_max=3)
    watch.look(0.0, [b"%d" % number for number in range(10)])
    assert len(watch.look(5.0, [b"%d" % number for number in range(10)]).missing) == 3


# Checkpoints and rebalances


class HangingPublisher(ListPublisher):
    """Kafka is away: nothing is acknowledged, for as long as it hangs."""

    hangs = True

    def __init__(self, changelog: Changelog) -> None:
        super().__init__(changelog)
        self.asked = asyncio.Event()

    async def publish_to(self, place: TopicPartition, records: list[Outgoing]) -> Appended:
        self.asked.set()
        if self.hangs:
            await asyncio.Event().wait()
        return await super().publish_to(place, records)


def test_a_rebalance_gives_up_the_checkpoint_under_way_and_the_next_one_goes_on() -> None:
    async def scene() -> tuple[bool, int]:
        simulation = Simulation(history(ANN, [(1, 1)] * 3))
        publisher = HangingPublisher(simulation.changelog)
        checkpoints = Checkpoints(
            simulation.book, lambda: simulation.store, publisher, AtOnce(), SETTINGS, Signals()
        )
        running = asyncio.create_task(checkpoints.run())
        simulation.merge(3)
        given_up = asyncio.ensure_future(checkpoints.contains(0, 3, 3))
        await publisher.asked.wait()
        checkpoints.abandon()
        await asyncio.wait([given_up])
        publisher.hangs = False
        simulation.book.close()
        for _ in simulation.book.open(0, []):
            pass
        simulation.position = 0
        simulation.merge(3)
        await checkpoints.contains(0, 3, 3)
        running.cancel()
        return given_up.cancelled(), len(simulation.changelog)

    assert asyncio.run(scene()) == (True, 3)
