"""The run of everything: what it could not test, it does not call passed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

NEEDED = ("promtool", "chromium")


def run(directory: Path, *tools: str, said: str = "all is well") -> subprocess.CompletedProcess[str]:
    """Run it where there is nothing but some tools, and a make that finds nothing wrong, and says something."""
    for name in ("make", *tools):
        (directory / name).write_text(f"#!/bin/sh\necho '{said}'\n")
        (directory / name).chmod(0o755)
    for name in ("bash", "dirname", "grep", "id", "mktemp", "rm", "sh", "tee"):
        (directory / name).symlink_to(str(shutil.which(name)))
    return subprocess.run(
        [str(directory / "bash"), str(ROOT / ".ci" / "run")],
        env={**os.environ, "PATH": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_with_every_tool_passes_and_has_nothing_to_tell(tmp_path: Path) -> None:
    done = run(tmp_path, *NEEDED, "kubectl")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_without_kubectl_passes_and_says_what_was_not_tested(tmp_path: Path) -> None:
    done = run(tmp_path, *NEEDED)
    assert done.returncode == 0
    assert done.stderr.startswith("NOT TESTED: what kubectl builds")


def test_dependencies_that_could_not_be_audited_are_told_at_its_end(tmp_path: Path) -> None:
    done = run(tmp_path, *NEEDED, "kubectl", said="lock: NOT AUDITED: no network")
    assert (done.returncode, done.stderr) == (0, "lock: NOT AUDITED: no network\n")


@pytest.mark.parametrize("missing", NEEDED)
def test_a_run_without_a_tool_has_not_passed_and_says_so_at_its_end(tmp_path: Path, missing: str) -> None:
    done = run(tmp_path, *(name for name in NEEDED if name != missing))
    assert done.returncode == 1
    assert "NOT TESTED" in done.stderr
    assert f"{missing} is not here" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("NOT PASSED")
