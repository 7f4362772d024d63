"""Our own programs as parts of the stack: each told the addresses, the secrets, and a port of its own."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

from ledger.config import Settings, environment_name
from streams.embedded.part import Part, answers, inherited
from streams.embedded.state import StateDirectory

Program = Callable[[StateDirectory, Settings], Part]
"""Makes the part, once the addresses of Kafka and PostgreSQL are in the settings."""

READY = "/health/ready"


def posting_workers(count: int) -> Sequence[Program]:
    """`worker-1`, `worker-2` …"""
    return [_worker(f"worker-{number}", "post-events") for number in range(1, count + 1)]


def windows_workers(count: int) -> Sequence[Program]:
    """`windows-1`, `windows-2` …"""
    return [_worker(name, "roll-windows") for name in _windows_names(count)]


def api(state: StateDirectory, settings: Settings) -> Part:
    """The HTTP API, which knows the windows workers of this stack unless it is told of others."""
    workers = (f"http://127.0.0.1:{state.port(name)}" for name in _windows_names(settings.windows_workers))
    urls = settings.windows_urls or ",".join(workers)
    chosen = settings.api_port if "api_port" in settings.model_fields_set and settings.api_port else None
    return _part(state, settings, "api", ("api",), "api_port", chosen, windows_urls=urls, operations_port="")


def _windows_names(count: int) -> list[str]:
    return [f"windows-{number}" for number in range(1, count + 1)]


def _worker(name: str, kind: str) -> Program:
    def make(state: StateDirectory, settings: Settings) -> Part:
        return _part(state, settings, name, ("worker", kind), "worker_port", worker_url="")

    return make


def _part(
    state: StateDirectory,
    settings: Settings,
    name: str,
    arguments: tuple[str, ...],
    port_setting: str,
    chosen_port: int | None = None,
    **more: str,
) -> Part:
    port = chosen_port or state.port(name)
    told = {
        "kafka_bootstrap": settings.kafka_bootstrap or "",
        "postgres_dsn": settings.postgres_dsn or "",
        "state_dir": str(state),
        "internal_token": settings.internal_token or state.secret("internal-token"),
        "key_secret": settings.key_secret or state.secret("api-keys"),
        port_setting: str(port),
        **more,
    }
    environment = inherited(**{environment_name(setting): value for setting, value in told.items()})
    command = partial(_command, arguments)
    return Part(name, command, partial(answers, port, READY), environment, url=f"http://127.0.0.1:{port}")


async def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "streams.cli", *arguments]
