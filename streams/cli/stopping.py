"""Ends what runs at SIGINT or SIGTERM in peace, and lets it be told which of them it was."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import typer

Answer = TypeVar("Answer")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
BY_SIGNAL = 128


class StoppedError(Exception):
    """A signal came, and what ran was cancelled."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number

    def exit(self) -> NoReturn:
        """End the command with the code of one that the signal ended."""
        raise typer.Exit(BY_SIGNAL + self.number) from self


async def until_stopped(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Give what `work` gives; raises StoppedError at a signal. A second one ends the process at once."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    came: list[int] = []

    def stop(number: int) -> None:
        came.append(number)
        task.cancel()
        restore()

    def restore() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if came:
            raise StoppedError(came[0]) from None
        raise
    finally:
        restore()
