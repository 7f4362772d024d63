"""F1, F2, F3: workers that die at named points, at once, under load."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

from loadtests.chaos.fault import Fault, Injection
from loadtests.chaos.stage import CHAINING, POSTING, WINDOWS, Stage

TIMES_MAX = 4
KILLS = 4


def _dying(kind: str, points: Sequence[str]) -> Injection:
    """Give what lets a worker more die at each of some points, at a time that chance says."""

    async def inject(stage: Stage, random: Random) -> dict[str, Any]:
        places = [f"{point}:{random.randint(1, TIMES_MAX)}" for point in points]
        return {"died at": [await stage.die_at(kind, place) for place in places]}

    return inject


async def _in_the_batch(stage: Stage, random: Random) -> dict[str, Any]:
    """Die at points inside a batch, and at any moment."""
    at_points = await _dying(POSTING, ("claimed", "before_commit"))(stage, random)
    killed = []
    for _ in range(stage.some(KILLS)):
        await asyncio.sleep(random.uniform(0.5, 4.0))
        name = random.choice(stage.victims(POSTING))
        await stage.kill_server(name)
        killed.append(name)
    return {**at_points, "killed at random": killed}


async def _before_the_frontier(stage: Stage, random: Random) -> dict[str, Any]:
    posting = await _dying(POSTING, ("published",))(stage, random)
    rolling = await _dying(WINDOWS, ("before_checkpoint", "checkpoint_written"))(stage, random)
    chaining = await _dying(CHAINING, ("links_written",))(stage, random)
    return {"died at": posting["died at"] + rolling["died at"] + chaining["died at"]}


FAULTS = (
    Fault("F1", "killed in the batch", _in_the_batch),
    Fault(
        "F2", "killed after the commit, before publishing", _dying(POSTING, ("committed", "before_publish"))
    ),
    Fault("F3", "killed after publishing, before the frontier", _before_the_frontier),
)
"""The worker dies with exit code 137 at the place, while others of its group go on."""
