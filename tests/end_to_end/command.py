"""Runs `ledger` as its users do: in a process of its own, against a state directory."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-m", "streams.cli")
TIMEOUT_S = 240
"""For a command that hangs: a whole demo takes more than a minute and a half where both cores are busy."""


@dataclass(frozen=True)
class Ledger:
    """The command line with its state directory; `wrapper` is what starts it, if not this process."""

    state_dir: Path
    changes: Mapping[str, str] = field(default_factory=dict)
    wrapper: Sequence[str] = ()

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.wrapper, *PROGRAM, *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def report(self, *arguments: str) -> dict[str, Any]:
        """What the command prints as JSON."""
        done = self.run(*arguments, "--json")
        assert done.stdout, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def up(self) -> dict[str, Any]:
        return self.report("up", "--detach", "--workers", "0")

    def processes(self) -> dict[str, dict[str, Any]]:
        """What `ledger status` tells, by name."""
        return {process["name"]: process for process in self.report("status")["processes"]}

    def environment(self) -> dict[str, str]:
        servers = ("LEDGER_KAFKA_BOOTSTRAP", "LEDGER_POSTGRES_DSN")
        kept = {name: value for name, value in os.environ.items() if name not in servers}
        return {**kept, "LEDGER_STATE_DIR": str(self.state_dir), **self.changes}
