"""Bugs that are planted in the real code: the simulation finds each, and makes the plan that found it small."""

from pathlib import Path

import pytest

from tests.simulation.bugs import BUGS, caught_by_simulation
from tests.simulation.drawing import draw
from tests.simulation.plan import load, save
from tests.simulation.run import run, run_seed
from tests.simulation.shrink import shrink


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    assert caught_by_simulation(bug) is not None


def test_a_bug_is_gone_when_it_is_not_planted() -> None:
    assert run_seed(1, BUGS["no row locks"]()).found
    assert run_seed(1).found == ()


def test_a_plan_that_fails_is_made_smaller_and_kept(tmp_path: Path) -> None:
    bug = BUGS["a hole passes the books by"]
    plan = shrink(draw(28), lambda smaller: bool(run(smaller, bug()).found))
    kept = load(save(plan, tmp_path))
    assert [fault.kind for fault in kept.faults] == ["hole"]
    assert run(kept, bug()).found
