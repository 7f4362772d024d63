"""How a load is stopped before its end, so that nothing that it started is left running."""

import asyncio
import signal

INTERRUPTED = 130
"""The exit status of one that was."""


def cancel_on_sigterm() -> None:
    """Have SIGTERM cancel the task that runs, as ctrl-C does."""
    running = asyncio.current_task()
    if running is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
