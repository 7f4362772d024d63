"""Posting workers as parts of the stack: our own program, started again when it dies."""

import sys
from functools import partial

from ledger.config import Settings
from streams.embedded.part import Part, answers, inherited
from streams.embedded.state import StateDirectory


def worker_part(state: StateDirectory, settings: Settings, number: int) -> Part:
    """Worker number 1, 2, …; `settings` has both addresses."""
    name = f"worker-{number}"
    return program_part(state, settings, name, ("worker", "post-events"), "LEDGER_WORKER_PORT")


def program_part(
    state: StateDirectory, settings: Settings, name: str, arguments: tuple[str, ...], port_variable: str
) -> Part:
    """One of our commands, told the addresses and a port of its own, where it answers /health/ready."""
    port = state.port(name)

    async def command() -> list[str]:
        return [sys.executable, "-m", "streams.cli", *arguments]

    environment = inherited(
        LEDGER_KAFKA_BOOTSTRAP=settings.kafka_bootstrap or "",
        LEDGER_POSTGRES_DSN=settings.postgres_dsn or "",
        LEDGER_STATE_DIR=str(state),
        **{port_variable: str(port)},
    )
    return Part(name, command, partial(answers, port, "/health/ready"), environment)
