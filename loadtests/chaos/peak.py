"""How much the ledger can post here with all of its parts at work, of which a soak sends half.

It is done when the payments are over, too: what is sent for an hour must not pile up anywhere.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from loadtests.chaos.stage import Stage

BURST_S = 20.0
BURST_RATE = 10_000.0
DRAINED_S = 600.0


async def set_half_of_peak(stage: Stage, tell: Callable[[str], None]) -> None:
    """Send far more than can be posted, see how much is until nothing is left to do, and send half from then on.

    Raises StageError with what was left, and LoadError where the broker does not answer.
    """
    begun, began = await _posted(stage), monotonic()
    stage.load.pace(times=BURST_RATE / stage.load.usual)
    await asyncio.sleep(BURST_S)
    await stage.until_quiet(DRAINED_S)
    peak = (await _posted(stage) - begun) / (monotonic() - began)
    stage.load.most, stage.load.usual = peak, round(peak / 2)
    tell(f"peak {peak:,.0f} records a second: {stage.load.usual:,.0f} are sent")


async def _posted(stage: Stage) -> int:
    sample = await stage.watch.fresh(DRAINED_S)
    return sum((sample.done or {})[stage.settings.posting_group])
