"""Worker processes for tests of the transport: started, stopped, killed and frozen by their process id."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ledger.config import Settings

ENVIRONMENT = {"PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "TMPDIR"}


@dataclass(slots=True)
class Fleet:
    """Workers of one group on one topic, with their notes and logs in one directory."""

    directory: Path
    bootstrap: str
    group: str
    topic: str
    table: bool = False
    handler_ms: float = 20.0
    settings: dict[str, object] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    started: int = 0

    def start(self, *arguments: str) -> str:
        """Start one more worker; gives its name."""
        self.started += 1
        name = f"w{self.started}"
        command = [sys.executable, "-m", "loadtests.transport_worker", f"--group={self.group}"]
        command += [f"--topic={self.topic}", f"--notes={self.directory / name}.notes"]
        command += [
            f"--handler-ms={self.handler_ms}",
            *(["--table"] if self.table else []),
            *self.arguments,
            *arguments,
        ]
        with (self.directory / f"{name}.log").open("wb") as log:
            self.workers[name] = subprocess.Popen(command, env=self._environment(), stdout=log, stderr=log)
        return name

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one worker."""
        self.workers[name].send_signal(number)

    def remove_ended(self) -> dict[str, int]:
        """Forget the workers that have ended; gives their exit codes."""
        ended = {
            name: process.returncode for name, process in self.workers.items() if process.poll() is not None
        }
        for name in ended:
            del self.workers[name]
        return ended

    async def ended(self, name: str, timeout_s: float = 40.0) -> int:
        """Wait until a worker has ended; gives its exit code."""
        process = self.workers[name]
        async with asyncio.timeout(timeout_s):
            while process.poll() is None:  # noqa: ASYNC110  # a process has no event to wait for
                await asyncio.sleep(0.05)
        del self.workers[name]
        return process.returncode

    async def stop(self) -> dict[str, int]:
        """Terminate all workers; gives their exit codes."""
        names = list(self.workers)
        for name in names:
            self.send(name, signal.SIGCONT)
            self.send(name, signal.SIGTERM)
        return {name: await self.ended(name) for name in names}

    def kill(self) -> None:
        """End whatever is left, at once."""
        for process in self.workers.values():
            process.kill()
            process.wait()
        self.workers.clear()

    def _environment(self) -> dict[str, str]:
        chosen = Settings(
            kafka_bootstrap=self.bootstrap,
            postgres_dsn=None,
            state_dir=self.directory,
            session_timeout_s=6.0,
            rebalance_timeout_s=20.0,
            commit_interval_ms=200,
            batch_records_max=500,
        ).model_copy(update=self.settings)
        given = {
            f"LEDGER_{key.upper()}": str(value) for key, value in chosen.model_dump(exclude_none=True).items()
        }
        kept = {key: value for key, value in os.environ.items() if key in ENVIRONMENT}
        return {**kept, **given}
