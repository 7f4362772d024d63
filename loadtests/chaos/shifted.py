"""`python -m loadtests.chaos.shifted …`: the ledger's command line with a clock that is wrong by what a file says.

CHAOS_CLOCK names the file of seconds, which is read again and again. The clocks of Python are shifted, of which all
times of the ledger are; those of the servers are not.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

CLOCK = "CHAOS_CLOCK"
READ_EVERY_S = 0.2
NS = 10**9


class WrongClock:
    """The clock of this machine, wrong by some seconds."""

    def __init__(self, file: Path, right: Callable[[], int]) -> None:
        self._file = file
        self._right = right
        self._read_at = -READ_EVERY_S
        self._wrong_s = 0.0

    def time_ns(self) -> int:
        return self._right() + int(self._shift_s() * NS)

    def time(self) -> float:
        return self.time_ns() / NS

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._right() / NS, UTC) + timedelta(seconds=self._shift_s())

    def _shift_s(self) -> float:
        if time.monotonic() - self._read_at > READ_EVERY_S:
            self._read_at = time.monotonic()
            self._wrong_s = float(self._file.read_text() or 0)
        return self._wrong_s


def main() -> None:
    """Set the clocks wrong, then become the command."""
    clock: Any = WrongClock(Path(os.environ[CLOCK]), time.time_ns)
    time.time, time.time_ns = clock.time, clock.time_ns
    from ledger.adapters import system

    wrong: Any = lambda _: clock.now()  # noqa: E731 - it stands for a method
    system.SystemClock.now = wrong  # type: ignore[method-assign]
    from streams.cli import main as command

    command()


if __name__ == "__main__":
    main()
