"""Real workers on a real Kafka that come, go, are killed and frozen: every record is handled, none committed early."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from ledger.config import Settings
from loadtests.transport_fleet import Fleet
from loadtests.transport_load import Load, make_scene, settled
from loadtests.transport_truth import committed_offsets, read_notes
from streams.embedded.stack import EmbeddedStack
from streams.transport import BatchPublisher, Exit, Outgoing

PARTITIONS = 4
RECORDS_PER_S = 2000

MakeFleet = Callable[..., Fleet]


@pytest.fixture
async def make_fleet(kafka: str, tmp_path: Path) -> AsyncIterator[MakeFleet]:
    """Makes fleets on topics of their own; whatever runs at the end of the test is killed."""
    fleets: list[Fleet] = []

    def make(
        bootstrap: str = kafka, *, table: bool = False, handler_ms: float = 20.0, **settings: object
    ) -> Fleet:
        group = f"group-{os.getpid()}-{time.time_ns()}"
        directory = tmp_path / group
        directory.mkdir()
        fleet = Fleet(directory, bootstrap, group, f"{group}-records", table, handler_ms, settings)
        fleets.append(fleet)
        return fleet

    yield make
    for fleet in fleets:
        fleet.kill()


async def fill(fleet: Fleet, count: int) -> None:
    """Publish records that take turns at the partitions."""
    publisher = BatchPublisher(fleet.bootstrap)
    await publisher.start()
    await publisher.publish([Outgoing(fleet.topic, None, b"%d" % number) for number in range(count)])
    await publisher.stop()


async def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Poll until something is so."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # other processes have no event
            await asyncio.sleep(0.1)


def said(fleet: Fleet, name: str) -> int:
    """How often the workers emitted a signal."""
    return read_notes(fleet.directory).signals[name]


async def committed(fleet: Fleet) -> int:
    """How many records the group has committed."""
    return sum((await committed_offsets(fleet.bootstrap, fleet.group, fleet.topic, PARTITIONS)).values())


@pytest.mark.slow
@pytest.mark.parametrize("table", [False, True], ids=["without tables", "with a table"])
async def test_nothing_is_lost_while_workers_come_and_go(make_fleet: MakeFleet, table: bool) -> None:
    fleet = make_fleet(table=table, commit_interval_ms=20)
    await make_scene(fleet, PARTITIONS)
    async with Load(fleet.bootstrap, fleet.topic, RECORDS_PER_S).running() as load:
        first, second, third = fleet.start(), fleet.start(), fleet.start()
        await until(lambda: joined(fleet) == 3, timeout_s=60.0)
        await until(lambda: read_notes(fleet.directory).handled > 2 * RECORDS_PER_S)
        fleet.send(first, signal.SIGTERM)
        assert await fleet.ended(first) == Exit.CLEAN
        fleet.send(second, signal.SIGKILL)
        await fleet.ended(second)
        fleet.start()
        await asyncio.sleep(1.0)
        fleet.send(third, signal.SIGSTOP)
        await asyncio.sleep(7.5)
        fleet.send(third, signal.SIGCONT)
        await asyncio.sleep(2.0)
    verdict = await settled(fleet, PARTITIONS)

    assert verdict.sound, verdict
    assert verdict.records >= load.published > 10 * RECORDS_PER_S
    assert set((await fleet.stop()).values()) == {Exit.CLEAN}


@pytest.mark.slow
async def test_chunks_that_are_dropped_on_the_way_are_healed(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(handler_ms=2.0, batch_records_max=100)
    await make_scene(fleet, PARTITIONS)
    await fill(fleet, 20_000)
    fleet.start("--drop-share=0.2")
    verdict = await settled(fleet, PARTITIONS)

    assert verdict.sound, verdict
    assert verdict.duplicates == 0
    assert verdict.signals["chunk.dropped_by_faust"] > 5


async def test_sigterm_finishes_the_running_chunk_and_commits_it(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(handler_ms=3000)
    await make_scene(fleet, PARTITIONS)
    await fill(fleet, 100)
    worker = fleet.start()
    await until(lambda: read_notes(fleet.directory).handled == 100)
    fleet.send(worker, signal.SIGTERM)

    assert await fleet.ended(worker) == Exit.CLEAN
    assert await committed(fleet) == 100


async def test_an_assignment_may_take_longer_than_a_session(make_fleet: MakeFleet) -> None:
    """Else the group would take the worker for dead, and hand it the same partitions again, without an end."""
    fleet = make_fleet(session_timeout_s=2)
    await make_scene(fleet, PARTITIONS)
    await fill(fleet, 100)
    fleet.start("--assigning-s=5")
    await until(lambda: said(fleet, "assignment.ended") == 1)
    await fill(fleet, 100)
    # Of a member that it does not know the group takes no offsets.
    async with asyncio.timeout(30):
        while await committed(fleet) < 200:  # noqa: ASYNC110  # a broker has no event
            await asyncio.sleep(0.1)
    assert said(fleet, "partitions.assigned") == 1


@pytest.mark.slow
async def test_a_handler_that_raises_ends_the_worker_and_commits_nothing_after(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(batch_records_max=10)
    await make_scene(fleet, 1)
    await fill(fleet, 100)
    worker = fleet.start("--fail-at=50")
    assert await fleet.ended(worker) == Exit.CRASHED
    assert (await committed_offsets(fleet.bootstrap, fleet.group, fleet.topic, 1)).get(0, 0) <= 50

    fleet.start()
    verdict = await settled(fleet, 1)
    assert verdict.sound, verdict


async def test_an_agent_that_raises_ends_the_worker(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    await make_scene(fleet, 1)

    assert await fleet.ended(fleet.start("--agent-fault")) == Exit.CRASHED


@pytest.mark.parametrize("what", ["fetch", "assign"])
async def test_a_worker_whose_fetching_ended_ends(make_fleet: MakeFleet, what: str) -> None:
    """At once: the watchdog would wait for two minutes."""
    fleet = make_fleet()
    await make_scene(fleet, 1)

    assert await fleet.ended(fleet.start(f"--no-memory-to={what}")) == Exit.CRASHED


async def test_a_worker_that_gets_no_more_memory_ends(make_fleet: MakeFleet) -> None:
    """Whether the watchdog sees it first, or what it does fails."""
    fleet = make_fleet()
    await make_scene(fleet, 1)
    worker = fleet.start()
    await until(lambda: said(fleet, "partitions.assigned") == 1)
    pid = fleet.workers[worker].pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (psutil.Process(pid).memory_info().vms, hard))

    assert await fleet.ended(worker) != Exit.CLEAN


async def test_a_worker_that_cannot_reach_kafka_ends(make_fleet: MakeFleet) -> None:
    fleet = make_fleet("127.0.0.1:1")

    assert await fleet.ended(fleet.start()) == Exit.CRASHED


@pytest.mark.slow
async def test_a_slow_handler_keeps_its_worker_in_the_group(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(handler_ms=9000)
    await make_scene(fleet, PARTITIONS)
    await fill(fleet, 100)
    fleet.start()
    verdict = await settled(fleet, PARTITIONS)

    assert verdict.sound, verdict
    assert (verdict.duplicates, verdict.signals["partitions.assigned"]) == (0, 1)


@pytest.mark.slow
async def test_a_handler_that_hangs_does_not_hold_up_a_rebalance(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(handler_ms=600_000, rebalance_timeout_s=6.0)
    await make_scene(fleet, PARTITIONS)
    await fill(fleet, 100)
    fleet.start()
    await until(lambda: said(fleet, "partitions.assigned") == 1)
    await asyncio.sleep(1.0)
    fleet.start()

    await until(lambda: said(fleet, "partitions.assigned") == 3)
    assert said(fleet, "chunk.given_up") == PARTITIONS


@pytest.mark.slow
async def test_the_watchdog_ends_a_worker_that_stands_still_but_not_one_that_waits(
    make_fleet: MakeFleet,
) -> None:
    stuck, waiting = make_fleet(handler_ms=600_000, watchdog_s=4.0), make_fleet(watchdog_s=4.0)
    for fleet in (stuck, waiting):
        await make_scene(fleet, PARTITIONS)
        await fill(fleet, 100)
    waits = waiting.start("--wait-for=postgres", "--wait-s=12")

    assert await stuck.ended(stuck.start()) == Exit.STALLED
    assert waits in waiting.workers
    assert not waiting.remove_ended()
    verdict = await settled(waiting, PARTITIONS)
    assert verdict.sound, verdict


def joined(fleet: Fleet) -> int:
    """Count the workers that have been in the group: one that begins while Kafka is away ends."""
    return sum("partitions.assigned" in path.read_text() for path in fleet.directory.glob("*.notes"))


@pytest.mark.slow
async def test_workers_outlive_a_restart_of_the_broker(make_fleet: MakeFleet, tmp_path: Path) -> None:
    settings = Settings(kafka_bootstrap=None, postgres_dsn=None)
    async with EmbeddedStack(tmp_path / "own", settings=settings, postgres=False) as stack:
        fleet = make_fleet(stack.kafka)
        await make_scene(fleet, PARTITIONS)
        async with Load(fleet.bootstrap, fleet.topic, RECORDS_PER_S).running() as load:
            fleet.start(), fleet.start()
            await until(lambda: joined(fleet) == 2, timeout_s=60.0)
            await until(lambda: read_notes(fleet.directory).handled > RECORDS_PER_S)
            kill_broker(tmp_path / "own")
            published = load.published
            await until(lambda: load.published > published + RECORDS_PER_S, timeout_s=60.0)
            handled = read_notes(fleet.directory).handled
            await until(lambda: read_notes(fleet.directory).handled > handled + 3 * RECORDS_PER_S)
        verdict = await settled(fleet, PARTITIONS)

        assert verdict.sound, verdict
        assert set((await fleet.stop()).values()) == {Exit.CLEAN}


def kill_broker(state_dir: Path) -> None:
    """kill -9; the stack starts it again."""
    brokers = [
        process
        for process in psutil.Process().children(recursive=True)
        if process.name() == "java" and any(str(state_dir) in part for part in process.cmdline())
    ]
    assert brokers
    for broker in brokers:
        broker.kill()
