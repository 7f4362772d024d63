"""Programs of the ledger as forks of a process that has imported everything: a real one in milliseconds.

Run as a script it reads a line of JSON for each program that is wanted: its arguments, environment, log and the
file for its end.
"""

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

WAIT_S = 60.0


class Nursery:
    """Starts programs; leaving it ends those that are left."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.end_to_end.forking"], stdin=subprocess.PIPE, text=True
        )

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> "Forked":
        """Start one with changes to this environment."""
        self._count += 1
        forked = Forked(self._directory / f"forked-{self._count}")
        wanted = {"arguments": list(arguments), "environment": dict(environment), "base": str(forked.base)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return forked

    def close(self) -> None:
        """Start no more; what is left is killed with it."""
        with self._process:
            self._process.terminate()


class Forked:
    """One program: its log, and how it ended."""

    def __init__(self, base: Path) -> None:
        self.base = base

    @property
    def log(self) -> str:
        return self.base.with_suffix(".log").read_text()

    @property
    def ended(self) -> int | None:
        """Its exit code once it has ended; killed by a signal, that number less than zero."""
        code = _read(self.base.with_suffix(".code"))
        return int(code) if code else None

    async def exit_code(self, within_s: float = WAIT_S) -> int:
        """Wait for its end."""
        deadline = monotonic() + within_s
        while (code := self.ended) is None:
            assert monotonic() < deadline, self.log
            await asyncio.sleep(0.01)
        return code

    async def kill(self) -> None:
        """Kill it, and wait for its end."""
        deadline = monotonic() + WAIT_S
        while self.ended is None and not (pid := _read(self.base.with_suffix(".pid"))):
            assert monotonic() < deadline, "the program was never started"
            await asyncio.sleep(0.01)
        if self.ended is None:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        await self.exit_code()


def _read(file: Path) -> str:
    with suppress(FileNotFoundError):
        return file.read_text()
    return ""


def _serve() -> None:
    """Fork a program for each line, until there are no more lines."""
    from ledger.observability import crash
    from streams import advancing, app, chaining, rolling  # noqa: F401  # what their workers import when they run
    from streams.cli import main, worker  # noqa: F401

    os.setpgid(0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    for line in sys.stdin:
        wanted = json.loads(line)
        if os.fork() == 0:
            _watch(wanted, lambda: importlib.reload(crash), main)
    os.killpg(0, signal.SIGKILL)


def _watch(wanted: dict[str, Any], again: Any, main: Any) -> None:
    """Fork the program, and write down how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    base = Path(wanted["base"])
    pid = os.fork()
    if pid == 0:
        os.environ.update(wanted["environment"])
        log = os.open(base.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(log, number)
        again()
        sys.argv = ["ledger", *wanted["arguments"]]
        main()
        os._exit(0)
    base.with_suffix(".pid").write_text(str(pid))
    _, status = os.waitpid(pid, 0)
    written = base.with_suffix(".written")
    written.write_text(str(os.waitstatus_to_exitcode(status)))
    written.replace(base.with_suffix(".code"))
    os._exit(0)


if __name__ == "__main__":
    _serve()
