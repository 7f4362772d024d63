"""F11 and F12: the disk full under PostgreSQL, under Kafka, under the state directory of a windows worker."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

from loadtests.chaos.disks import full
from loadtests.chaos.fault import SMALL, Fault, programs
from loadtests.chaos.faults.windows import ON_DISK
from loadtests.chaos.stage import WINDOWS, Stage

FULL_S = 12.0
needs_mounts = programs("mount", "umount")


async def _postgres_full(stage: Stage, random: Random) -> dict[str, Any]:
    return {"PostgreSQL": await _filled(stage.state.postgres)}


async def _kafka_full(stage: Stage, random: Random) -> dict[str, Any]:
    kafka = await _filled(stage.state.kafka)
    await stage.crew.until_ready(stage.brokers[0].part.name, 60.0)
    worker = await stage.another(WINDOWS, ON_DISK)
    try:
        await asyncio.sleep(FULL_S)
        state = await _filled(stage.state.path / "workers")
        await asyncio.sleep(FULL_S / 2)
        ended = worker.ended
    finally:
        await worker.end()
    return {"Kafka": kafka, "state directory": state, "the windows worker ended with": ended}


async def _filled(path: Path) -> dict[str, Any]:
    async with full(path) as size:
        await asyncio.sleep(FULL_S)
    return {"bytes": size, "for_s": FULL_S}


FAULTS = (
    Fault("F11", "disk full under PostgreSQL", _postgres_full, SMALL, needs_mounts),
    Fault("F12", "disk full under Kafka, and under the state directory", _kafka_full, SMALL, needs_mounts),
)
