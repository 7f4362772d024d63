"""Upkeep beside the posting agent: once at the start, then twice a day."""

import asyncio
from collections.abc import Awaitable, Callable

from ledger.application.faults import TransientFaultError
from ledger.observability.signals import Signals

INTERVAL_S = 12 * 3600.0
RETRY_S = 30.0


async def keep_partitions_ahead(make: Callable[[], Awaitable[int]], signals: Signals) -> None:
    """Make partitions of time ahead, until cancelled; several workers may do so at once."""
    while True:
        try:
            made = await make()
        except TransientFaultError as fault:
            signals.emit("partitions.not_made", fault=str(fault))
            await asyncio.sleep(RETRY_S)
            continue
        if made:
            signals.emit("partitions.made", count=made)
        await asyncio.sleep(INTERVAL_S)
