"""The file that outcomes are indexed in: a kill leaves nothing of it behind."""

import os
import subprocess
import sys
from pathlib import Path

DIES = """
import asyncio, os, signal
from streams.replay.outcomes import OutcomeIndex

class Nothing:
    async def bounds(self):
        return {}

async def die():
    async with OutcomeIndex.read(Nothing(), None) as index:
        rows = ((f"acme-{n}", "x" * 200, b"", "posted", n, None, None, 0) for n in range(20_000))
        index._file.executemany("insert into outcomes values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        index._file.commit()
        with os.scandir("/proc/self/fd") as opened:
            print(*[os.readlink(each.path) for each in opened], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(die())
"""


def test_a_replay_that_was_killed_leaves_no_file_of_outcomes(tmp_path: Path) -> None:
    folders = {"TMPDIR": str(tmp_path), "SQLITE_TMPDIR": str(tmp_path)}
    died = subprocess.run(
        [sys.executable, "-c", DIES], env=os.environ | folders, capture_output=True, text=True, check=False
    )
    assert died.returncode == -9, died.stderr
    # It was on disk, as memory is bounded.
    assert str(tmp_path) in died.stdout
    assert list(tmp_path.iterdir()) == []
