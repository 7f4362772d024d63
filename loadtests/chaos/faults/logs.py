"""F13: the only broker killed, and stopped, under load."""

import asyncio
import signal
from random import Random
from typing import Any

from loadtests.chaos.fault import Fault
from loadtests.chaos.stage import Stage


async def _broker_killed(stage: Stage, random: Random) -> dict[str, Any]:
    name = stage.brokers[0].part.name
    ways = (signal.SIGKILL, signal.SIGTERM)[: stage.some(2)]
    for way in ways:
        await stage.kill_server(name, way)
        await asyncio.sleep(random.uniform(2.0, 5.0))
    return {"ended": [f"{name} by {way.name}" for way in ways]}


FAULTS = (Fault("F13", "the broker killed, and stopped", _broker_killed),)
