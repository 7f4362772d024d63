"""Soak: a steady rate for a long time, in which memory must not grow.

A windows worker holds the windows that it is told to keep: with ten thousand accounts that move every minute, a third
of a GiB when the first hour of minutes is full. So here it keeps them for six minutes, and what grows afterwards is no
window.
"""

from dataclasses import replace

from loadtests.bench.paced import Pacing, paced
from loadtests.bench.results import Measured
from loadtests.bench.stage import Servers, Wishes

WARM_UP_S = 30.0
MINUTES_KEPT_H = 0.1


async def soak(
    servers: Servers, rate: float, seconds: float, wishes: Wishes | None = None, *, seed: int = 1
) -> Measured:
    """Send `uniform` at a rate for so long; memory is in the series, by process."""
    wishes = wishes or Wishes(windows=1)
    wishes = replace(wishes, settings={"windows_minutes_kept_h": MINUTES_KEPT_H, **wishes.settings})
    return await paced(servers, Pacing("soak/uniform", "uniform", rate, seconds, seed, WARM_UP_S, wishes))
