"""F4 and F15: workers that are stopped past their session and go on, and workers that come and go."""

import asyncio
import signal
from collections import Counter
from contextlib import suppress
from random import Random
from time import monotonic
from typing import Any

from loadtests.chaos.crew import DownError, Extra
from loadtests.chaos.fault import Fault
from loadtests.chaos.stage import CHAINING, PAYING, POSTING, SESSION_S, WINDOWS, Stage

STORM_S = 60.0
EXTRAS_MAX = 3


async def _zombie(stage: Stage, random: Random) -> dict[str, Any]:
    """Stop a worker of each kind until its partitions are another's, then let it go on."""
    stopped: dict[str, int] = {}
    seconds = SESSION_S + random.uniform(1.0, 6.0)
    try:
        for kind in (POSTING, WINDOWS, PAYING, CHAINING):
            name = random.choice(stage.crew.names(kind))
            stopped[name] = stage.crew.send(name, signal.SIGSTOP)
        await asyncio.sleep(seconds)
    finally:
        for name in stopped:
            with suppress(DownError):  # another fault may have ended it meanwhile
                stage.crew.send(name, signal.SIGCONT)
    return {"stopped": sorted(stopped), "for_s": round(seconds, 1)}


async def _storm(stage: Stage, random: Random) -> dict[str, Any]:
    """Have a posting or windows worker come or go every three to five seconds, in any way."""
    ends, beside, done = monotonic() + stage.lasting(STORM_S), list[Extra](), Counter[str]()
    try:
        while monotonic() < ends:
            kind = random.choice((POSTING, POSTING, WINDOWS))
            comes = len(beside) < EXTRAS_MAX and (not beside or random.random() < 0.5)
            if comes:
                beside.append(await stage.another(kind))
                done["came"] += 1
            else:
                leaving = beside.pop(random.randrange(len(beside)))
                await _send_away(leaving, random.choice((signal.SIGTERM, signal.SIGKILL)), done)
            await asyncio.sleep(random.uniform(3.0, 5.0))
    finally:
        await asyncio.gather(*(_send_away(each, signal.SIGTERM, done) for each in beside))
    return dict(done)


async def _send_away(extra: Extra, number: signal.Signals, done: Counter[str]) -> None:
    code = await extra.end(number)
    done[f"ended with {code} by {number.name}"] += 1


FAULTS = (
    Fault("F4", "a zombie: stopped past its session, then continued", _zombie),
    Fault("F15", "a rebalance storm", _storm),
)
