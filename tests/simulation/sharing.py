"""Shares seeds out among processes."""

import logging
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.run import Verdict, run_told_briefly

SEEDS_AT_ONCE = 2


def verdicts(seeds: Iterable[int], processes: int) -> Iterator[Verdict]:
    """Run seeds, and give what came of each in their order; raises BrokenProcessPool if a process ends on its own."""
    if processes == 1:
        yield from map(run_told_briefly, seeds)
        return
    # What a process runs cannot be in `__main__`: of a package, multiprocessing does not import that one.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin) as pool:
        try:
            yield from pool.map(run_told_briefly, seeds, chunksize=SEEDS_AT_ONCE)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def quieten() -> None:
    """Say nothing of what the code under test warns of: it has faults to warn of, and the trace tells them."""
    logging.disable(logging.WARNING)


def _begin() -> None:
    """Leave an interrupt to the process that shares the seeds out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quieten()
