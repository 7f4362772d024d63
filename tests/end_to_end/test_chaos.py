"""Faults under load in little: zombies, servers that die, a backend killed in COMMIT, and the checker's verdict."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FAULTS = ("F4", "F5", "F6", "F13")
SEED = "8"
SHARE = "0.2"
RATE = "150"
RUN_S = 280
JUDGED = "ZOLBWSRPVT"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run of these faults came to."""
    out = tmp_path_factory.mktemp("chaos")
    wanted = ("--only", ",".join(FAULTS), "--seed", SEED, "--share", SHARE, "--rate", RATE, "--out", str(out))
    command = [sys.executable, "-m", "loadtests.chaos", "run", *wanted, "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert ran.returncode in (0, 1), ran.stderr
    assert (out / "report.html").exists()
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.slow
def test_every_fault_is_survived_and_the_lag_goes(report: dict[str, Any]) -> None:
    assert report["faults"] == dict.fromkeys(report["faults"], "ok")
    assert sorted(report["faults"]) == sorted(FAULTS)


def test_every_invariant_is_looked_at_and_holds(report: dict[str, Any]) -> None:
    findings = {name: each["findings"] for name, each in report["invariants"].items() if not each["ok"]}
    assert findings == {}
    assert report["ok"], [scene["why"] for scene in report["scenes"]]
    assert all(report["invariants"][name]["checked"] for name in JUDGED)
