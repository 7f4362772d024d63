"""Seeds of the simulation: every run ends at rest with every invariant kept, and a seed is always the same run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.plan import KEPT, load
from tests.simulation.run import run, run_seed

SEEDS = 200
AT_ONCE = 20
FIRST = 1


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, AT_ONCE))
def test_no_seed_finds_anything(first: int) -> None:
    verdicts = [run_seed(seed) for seed in range(first, first + AT_ONCE)]
    assert {each.plan.seed: each.found for each in verdicts if each.found} == {}


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_found_once_is_not_found_again(path: Path) -> None:
    assert run(load(path)).found == ()


@pytest.mark.parametrize("seed", [3, 11, 9004927])
def test_a_seed_is_the_same_run_in_every_process(seed: int) -> None:
    traces = {_trace_elsewhere(seed, hashes) for hashes in ("0", "1", "2")}
    assert traces == {"\n".join(run_seed(seed).trace)}


def _trace_elsewhere(seed: int, hashes: str) -> str:
    program = f"from tests.simulation.run import run_seed; print('\\n'.join(run_seed({seed}).trace))"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": hashes, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.removesuffix("\n")


def test_seeds_are_shared_by_processes() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seeds", "4", "--processes", "2"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert "4 of 4 seeds" in ran.stderr
