"""Patience with the database: while it is away a handler waits, says so, and goes on by itself."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import TypeVar

import stamina

from ledger.application.faults import TransientFaultError
from ledger.application.post_events import Waiting, not_said

Done = TypeVar("Done")


class Patience:
    """Does again what a transient fault kept from being done, however often it takes."""

    def __init__(self, waiting: Waiting = not_said, backoff_max_s: float = 5.0) -> None:
        self._waiting = waiting
        self._backoff_max_s = backoff_max_s

    async def until_done(
        self, work: Callable[[], Awaitable[Done]], failed: Callable[[TransientFaultError], None]
    ) -> Done:
        """Do it, and tell of each fault; raises what is not transient."""

        def may_pass(fault: Exception) -> bool:
            if not isinstance(fault, TransientFaultError):
                return False
            failed(fault)
            return True

        attempts = stamina.retry_context(
            on=may_pass, attempts=None, timeout=None, wait_initial=0.05, wait_max=self._backoff_max_s
        )
        with ExitStack() as waits:
            async for attempt in attempts:
                if attempt.num == 2:
                    waits.enter_context(self._waiting("postgres"))
                with attempt:
                    return await work()
        raise RuntimeError("retrying never gives up")
