"""Python's cycle collector, set for batches, and memory that goes back to the system."""

import asyncio
import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

COLLECT_S = 1.0
"""Nothing else runs meanwhile, and what there is to collect grows with time: in ten seconds a tenth of one."""
SHARE = 0.02
"""Of the time goes into collecting, at most."""


def collect_rarely() -> None:
    """Let the collector not walk the program, nor each batch: what a batch makes dies young, without the collector."""
    gc.freeze()
    gc.set_threshold(500_000, 20, 100)


@contextmanager
def collecting(every_s: float = COLLECT_S) -> Iterator[None]:
    """Collect every few seconds, beside what else runs.

    Calls, tasks and their faults leave cycles: too few to come to the threshold soon, and large enough that memory
    would grow by half until they do.
    """
    collector = asyncio.create_task(_collect(every_s))
    try:
        yield
    finally:
        collector.cancel()


async def _collect(every_s: float) -> None:
    # glibc keeps what is freed; other libraries give it back, and do not have this.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    took_s = 0.0
    while True:
        await asyncio.sleep(max(every_s, took_s / SHARE))
        begun = perf_counter()
        gc.collect()
        if trim is not None:
            trim(0)
        took_s = perf_counter() - begun
