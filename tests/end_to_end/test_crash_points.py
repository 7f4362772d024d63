"""Whoever dies at a named point leaves nothing lost and nothing doubled; every point, with every kind of record."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ledger.contract.event_types import COMMANDS
from tests.architecture.tree import ROOT
from tests.end_to_end.crash_lanes import Deaths, deaths
from tests.end_to_end.crash_matrix import PAYING_POINTS, POSTING_POINTS
from tests.end_to_end.crash_table import KINDS, ONCE, POINTS, POSTING, Row, records, rows
from tests.end_to_end.forking import Nursery
from tests.provider import Simulator

ROTATION = 4
"""Which records die at which points here; all five rotations: `make crash-points`."""

TWICE_EACH = 4

# The table


def documented() -> set[str]:
    """The crash points that operators are told of; that these are those of the code, tests/architecture sees to."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = text.split("## Crash points")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_every_crash_point_has_its_rows() -> None:
    assert documented() == POINTS.keys() == {row.point for row in rows()}


def test_every_type_of_event_has_its_rows() -> None:
    assert set(COMMANDS) <= set(KINDS) == {row.kind for row in rows()}
    assert records().keys() == set(KINDS)


def test_rows_are_told_once_and_those_that_cannot_be_are_left_out() -> None:
    found = rows()
    assert len(set(found)) == len(found) == 2 * sum(len(each.kinds) for each in POINTS.values()) - len(ONCE)


def test_payments_die_at_the_same_points_whatever_their_provider_does() -> None:
    paying = {name for name, each in POINTS.items() if each.part == "advance-payments"}
    assert (set(PAYING_POINTS), POSTING_POINTS) == (paying, POSTING)


# A part of it


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with closing(Nursery(tmp_path_factory.mktemp("deaths"))) as nursery:
        yield nursery


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("provider") / "book").start()
    yield simulator
    simulator.stop()


@pytest.fixture(scope="module")
async def lane(
    kafka: str,
    postgres_dsn: str,
    tmp_path_factory: pytest.TempPathFactory,
    nursery: Nursery,
    simulator: Simulator,
) -> AsyncIterator[Deaths]:
    """A ledger whose posting workers died twice with each record, and which another then brought to its end."""
    directory: Path = tmp_path_factory.mktemp("lane")
    async with deaths((kafka, postgres_dsn), "crash_points", directory, simulator, nursery) as lane:
        await lane.post(ROTATION, twice_each=TWICE_EACH)
        yield lane


def test_posting_workers_die_with_every_kind_of_record(lane: Deaths) -> None:
    lived = [row for row in lane.lived if row.point in POSTING]
    assert {row.kind for row in lived} == set(KINDS)
    assert {row.point for row in lived} == set(POSTING)
    assert {row.time for row in lived} == {1, 2}


async def test_chain_workers_die(lane: Deaths) -> None:
    await lane.chain()
    assert Row("links_written", "hold.capture.v1", 2) in lane.lived


async def test_the_archive_dies(lane: Deaths) -> None:
    await lane.archive()
    assert Row("segment_written", "poison", 2) in lane.lived


async def test_a_letter_is_sent_and_not_written_down(lane: Deaths) -> None:
    await lane.requeue()
    assert Row("letter_sent", "poison", 2) in lane.lived


async def test_a_worker_dies_when_it_has_let_go_of_a_hold(lane: Deaths) -> None:
    await lane.expire()
    assert Row("voids_sent", "hold.void.v1", 2) in lane.lived


async def test_nothing_was_lost_and_nothing_doubled(lane: Deaths) -> None:
    assert await lane.faults() == []
