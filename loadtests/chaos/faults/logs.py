"""F13: the only broker killed, and stopped, under load."""

import asyncio
import signal
from random import Random
from typing import Any

from loadtests.chaos.fault import Fault
from loadtests.chaos.stage import Stage


async def _broker_killed(stage: Stage, random: Random) -> dict[str, Any]:
    name = stage.brokers[0].part.name
    for number in (signal.SIGKILL, signal.SIGTERM):
        await stage.kill_server(name, number)
        await asyncio.sleep(random.uniform(2.0, 5.0))
    return {"ended": [f"{name} by SIGKILL", f"{name} by SIGTERM"]}


FAULTS = (Fault("F13", "the broker killed, and stopped", _broker_killed),)
