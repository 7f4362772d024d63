"""Every planted bug is caught by a test that fails."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.planted.bug import NOTHING, Bug, nothing
from tests.planted.bugs import BUGS
from tests.planted.running import Harvest, grow_all

BUGS_MIN = 20


@pytest.fixture(scope="module")
async def harvests(kafka: str, postgres_dsn: str) -> Mapping[str, Harvest]:
    """What came of all of them, two at a time."""
    return await asyncio.to_thread(grow_all, kafka, postgres_dsn, [nothing(BUGS), *BUGS])


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_planted_bug_is_caught(harvests: Mapping[str, Harvest], bug: Bug) -> None:
    assert harvests[bug.name].is_caught, harvests[bug.name].said


def test_the_same_tests_pass_where_nothing_is_planted(harvests: Mapping[str, Harvest]) -> None:
    assert harvests[NOTHING].code == 0, harvests[NOTHING].said


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= BUGS_MIN
