"""Soak: a steady rate for a long time, in which memory must not grow."""

from loadtests.bench.paced import Pacing, paced
from loadtests.bench.results import Measured
from loadtests.bench.stage import Servers, Wishes

WARM_UP_S = 30.0


async def soak(
    servers: Servers, rate: float, seconds: float, wishes: Wishes | None = None, *, seed: int = 1
) -> Measured:
    """Send `uniform` at a rate for so long; memory is in the series, by process."""
    wishes = wishes or Wishes(windows=1)
    return await paced(servers, Pacing("soak/uniform", "uniform", rate, seconds, seed, WARM_UP_S, wishes))
