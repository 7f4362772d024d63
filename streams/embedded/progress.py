"""Tells a person at the terminal how far the start is, and later which part died; plain lines elsewhere."""

import time
from typing import Any

from rich.console import Console
from rich.status import Status

from ledger.observability.signals import Facts


class Progress:
    """A listener of the stack's signals."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._status: Status | None = None
        self._waiting: dict[str, str] = {}

    def __call__(self, name: str, facts: Facts) -> None:
        """Show the fact when it is one of those below."""
        show = getattr(self, "_" + name.replace(".", "_"), None)
        if show is not None:
            show(**facts)

    def finish(self) -> None:
        """Take away what moves."""
        if self._status is not None:
            self._status.stop()

    def _part_starting(self, name: str) -> None:
        self._wait(name, name)

    def _artifacts_fetched(self, done: int, total: int) -> None:
        self._wait("kafka", f"kafka (jar {done} of {total})")
        if not self._console.is_terminal and done in (1, total // 2, total):
            self._say(f"kafka: jar {done} of {total} is here")

    def _part_ready(self, name: str) -> None:
        self._waiting.pop(name, None)
        self._say(f"{name} is ready after {time.monotonic() - self._began:.1f} s")
        self._turn()

    def _part_died(self, name: str, cause: str) -> None:
        self._say(f"{name} died ({cause}); it is started again")
        self._began = time.monotonic()

    def _part_unready(self, **_: Any) -> None:
        self._began = time.monotonic()

    def _part_stopped(self, name: str) -> None:
        self._waiting.pop(name, None)
        self._say(f"{name} has stopped")
        self._turn()

    def _state_not_saved(self, error: str) -> None:
        self._say(f"the state could not be written: {error}")

    def _wait(self, name: str, text: str) -> None:
        self._waiting[name] = text
        self._turn()

    def _turn(self) -> None:
        """Let the spinner show what is waited for; there is none outside a terminal."""
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status("")
        (self._status.start if self._waiting else self._status.stop)()
        self._status.update(f"Starting {', '.join(self._waiting.values())}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
