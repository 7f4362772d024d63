"""F29: workers of the version before the newest migration, beside those of this one."""

import asyncio
import shutil
import subprocess
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZipFile

from loadtests.chaos.crew import CrewError
from loadtests.chaos.fault import Fault
from loadtests.chaos.stage import PAYING, POSTING, WINDOWS, Stage

ROOT = Path(__file__).parents[3]
TOGETHER_S = 20.0
JOINED_S = 60.0


async def _two_versions(stage: Stage, random: Random) -> dict[str, Any]:
    """Run older workers over the migrated books, as in the middle of a deploy."""
    before = _before_newest_migration()
    if before is None:
        raise RuntimeError("the history of this checkout has no older version")
    tree = stage.state.path / "older"
    await asyncio.to_thread(_unpack, before, tree)
    older = {"PYTHONPATH": str(tree)}
    workers = [await stage.another(kind, older, directory=tree) for kind in (POSTING, WINDOWS, PAYING)]
    try:
        for worker in workers:
            await worker.until_ready(JOINED_S)
        await asyncio.sleep(stage.lasting(TOGETHER_S))
        ended = {worker.name: worker.ended for worker in workers}
    finally:
        await asyncio.gather(*(worker.end() for worker in workers))
    if any(code is not None for code in ended.values()):
        raise CrewError(f"older workers ended: {ended}")
    return {"older": before, "beside each other for_s": TOGETHER_S}


def _unpack(commit: str, into: Path) -> None:
    """Put the files of a commit into a directory; the history is not touched."""
    archive = into.with_suffix(".zip")
    _git("archive", f"--output={archive}", commit)
    with ZipFile(archive) as files:
        files.extractall(into)


def _before_newest_migration() -> str | None:
    """Give the commit before the one that brought the newest migration."""
    newest = max(path for path in (ROOT / "migrations/versions").glob("[0-9]*.py"))
    added = _git("log", "--diff-filter=A", "--format=%H", "--", str(newest.relative_to(ROOT))).split()
    return _git("rev-parse", f"{added[-1]}^").strip() if added else None


def _git(*arguments: str) -> str:
    program = shutil.which("git") or "git"
    return subprocess.run(
        [program, "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    ).stdout


def _history() -> str | None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return "git, and the history of this checkout"
    try:
        return None if _before_newest_migration() else "a history with an older version"
    except subprocess.CalledProcessError as error:
        return f"a history with an older version: {error.stderr}"


FAULTS = (Fault("F29", "two versions at once over a migration", _two_versions, needs=_history),)
