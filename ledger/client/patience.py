"""Trying again what the ledger cannot do now, until a deadline: everything that a client asks may be asked twice."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count
from time import monotonic
from typing import TypeVar

from ledger.client.errors import UnavailableError

BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 5.0

Result = TypeVar("Result")


# Not by a library of retries: it would tell hooks of the whole process, which is somebody else's.
async def patiently(ask: Callable[[], Awaitable[Result]], deadline_s: float) -> Result:
    """Ask until it is answered; raises the last UnavailableError where the next try would come too late."""
    deadline = monotonic() + deadline_s
    for tries in count():
        try:
            return await ask()
        except UnavailableError as error:
            pause_s = pause_of(error.retry_after_s, tries, random.random())  # noqa: S311 - spreads load
            if monotonic() + pause_s >= deadline:
                raise
            await asyncio.sleep(pause_s)
    raise RuntimeError("unreachable")


def pause_of(retry_after_s: float | None, tries: int, chance: float) -> float:
    """Say how long to wait after so many tries (from 0); `chance` is random in [0, 1).

    What was asked for is waited in full, and a little more, lest all who were told so come back at once. Else it is
    a random share of a time that doubles (full jitter).
    """
    if retry_after_s is not None:
        return retry_after_s + chance * min(1.0, retry_after_s / 4)
    most: float = BACKOFF_S_MIN * 2**tries if tries < 10 else BACKOFF_S_MAX
    return chance * min(BACKOFF_S_MAX, most)
