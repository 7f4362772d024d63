"""Bugs that are planted in the real code: the simulation finds each, and makes the plan that found it small."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.simulation.bugs import BUGS, caught_by_simulation
from tests.simulation.drawing import draw
from tests.simulation.plan import KEPT, load, save
from tests.simulation.run import run
from tests.simulation.shrink import shrink

HOLE = load(KEPT / "28.json")
BUG = BUGS["a hole passes the books by"]


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    assert caught_by_simulation(bug) is not None


def test_a_bug_is_gone_when_it_is_not_planted() -> None:
    assert run(HOLE, BUG()).found
    assert run(HOLE).found == ()


def test_a_plan_that_fails_is_made_smaller_and_kept(tmp_path: Path) -> None:
    other = draw(5)
    larger = replace(HOLE, sent=other.sent[:12], faults=(*other.faults[:4], *HOLE.faults), readers=1)
    plan = shrink(larger, lambda smaller: bool(run(smaller, BUG()).found))
    kept = load(save(plan, tmp_path))
    assert (len(kept.sent) + len(kept.faults), kept.readers) == (1, 0)
    assert run(kept, BUG()).found
