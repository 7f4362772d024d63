"""F27: the directory of a windows worker corrupt and lost, its changelog lost."""

import asyncio
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from loadtests.chaos.crew import CrewError
from loadtests.chaos.fault import Fault
from loadtests.chaos.stage import WINDOWS, Stage
from streams.embedded.part import Part

ON_DISK = {"LEDGER_WINDOWS_STORE": "rocksdict"}
STANDING_S = 4.0


async def _state_lost(stage: Stage, random: Random) -> dict[str, Any]:
    usual = await stage.crew.stop(*stage.crew.names(WINDOWS))
    first = replace(usual[0], environment={**usual[0].environment, **ON_DISK})
    home = stage.state.path / "workers"
    try:
        await stage.crew.start(first)
        await asyncio.sleep(STANDING_S)
        corrupted = await _restart_over(stage, first, lambda: _corrupt(home, random))
        await asyncio.sleep(STANDING_S)
        lost = await _restart_over(stage, first, lambda: _lose(home))
    finally:
        await stage.crew.stop(*stage.crew.names(WINDOWS))
    await _lose_changelog(stage)
    reset = (await stage.ledger("reset", "windows", "--yes", "--json")).checked()
    await stage.crew.start(*usual)
    return {"corrupted": corrupted, "lost": lost, "changelog made anew": reset.printed.strip()}


async def _restart_over(stage: Stage, part: Part, spoil: Any) -> int:
    """Kill the worker, spoil what it kept, and have it started again; gives how many files were spoilt."""
    stage.crew.send(part.name, signal.SIGSTOP)
    files = int(await asyncio.to_thread(spoil))
    await stage.kill_server(part.name)
    if not files:
        raise CrewError(f"{part.name} kept nothing on disk")
    return files


def _corrupt(home: Path, random: Random) -> int:
    """Write over the middle of every file of tables and logs."""
    files = [path for path in home.rglob("*") if path.suffix in (".sst", ".log") and path.stat().st_size > 64]
    for path in files:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(random.randrange(size // 2))
            file.write(random.randbytes(min(4096, size // 4)))
    return len(files)


def _lose(home: Path) -> int:
    files = sum(path.is_file() for path in home.rglob("*"))
    for path in home.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    return files


async def _lose_changelog(stage: Stage) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.kafka, client_id="chaos")
    await admin.start()
    try:
        await admin.delete_topics([stage.settings.windows_topic])
    finally:
        await admin.close()


FAULTS = (Fault("F27", "state directory corrupt and lost, changelog lost", _state_lost, reads_all=True),)
