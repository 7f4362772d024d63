"""How much the ledger can post here with all of its parts at work, of which a soak sends half.

It is done when the payments are over, too: what is sent for an hour must not pile up anywhere.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from loadtests.chaos.stage import OPEN_PAYMENTS, Stage

BURST_S = 20.0
BURST_RATE = 10_000.0
DRAINED_S = 300.0


async def set_half_of_peak(stage: Stage, tell: Callable[[str], None]) -> None:
    """Send far more than can be posted, see how much is until all of it is, and send half of that from then on."""
    begun, began = await _posted(stage), monotonic()
    stage.load.pace(times=BURST_RATE / stage.load.usual)
    await asyncio.sleep(BURST_S)
    stage.load.rest()
    await stage.until_recovered(DRAINED_S)
    async with asyncio.timeout(DRAINED_S):
        while (await stage.sql(OPEN_PAYMENTS))[0][0]:  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.5)
    peak = (await _posted(stage) - begun) / (monotonic() - began)
    stage.load.usual = round(peak / 2)
    tell(f"peak {peak:,.0f} records a second: {stage.load.usual:,.0f} are sent")


async def _posted(stage: Stage) -> int:
    sample = await stage.watch.fresh(DRAINED_S)
    return sum((sample.done or {})[stage.settings.posting_group])
