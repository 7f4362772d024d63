"""Our own programs as parts of the stack: each told the addresses, the secrets, and a port of its own."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ledger.config import Settings, environment_name
from streams.embedded.part import Part, answers, inherited
from streams.embedded.sealing_keys import ensure_sealing_keys
from streams.embedded.state import StateDirectory

Program = Callable[[StateDirectory, Settings], Part]
"""Makes the part, once the addresses of Kafka and PostgreSQL are in the settings."""

PROGRAM = "streams.cli"
READY = "/health/ready"
PROVIDER = "provider"
WORKER_NICENESS = 5
"""On one machine PostgreSQL goes first: it works for whoever holds the locks, on whom everybody else waits."""
SIMULATED = "simulated"
"""What tenants call the provider of the stack."""
DEVELOPMENT_TENANT = "acme"
"""The tenant of the stack's own keys, whose admin key is its operator's."""


def posting_workers(count: int) -> Sequence[Program]:
    """`worker-1`, `worker-2` …"""
    return [_worker(f"worker-{number}", "post-events") for number in range(1, count + 1)]


def windows_workers(count: int) -> Sequence[Program]:
    """`windows-1`, `windows-2` …"""
    return [_worker(name, "roll-windows") for name in _windows_names(count)]


def payments_workers(count: int) -> Sequence[Program]:
    """`payments-1`, `payments-2` …"""
    return [_worker(f"payments-{number}", "advance-payments") for number in range(1, count + 1)]


def chain_workers(count: int) -> Sequence[Program]:
    """`chain-1`, `chain-2` …"""
    return [_worker(f"chain-{number}", "chain-transactions") for number in range(1, count + 1)]


def provider(state: StateDirectory, settings: Settings) -> Part:
    """The simulated provider. Its book is in the state directory, and the API of this stack takes its webhooks."""
    port, book = state.port(PROVIDER), provider_book(state)
    book.parent.mkdir(parents=True, exist_ok=True)
    module = "streams.embedded.provider"
    webhooks = f"http://127.0.0.1:{_api_port(state, settings)}/v1/providers/{SIMULATED}/webhooks"
    arguments = ("--port", str(port), "--book", str(book), "--webhooks", webhooks)
    environment = inherited(PROVIDER_SECRETS=provider_secret(state))
    command = partial(_module, module, arguments)
    return Part(PROVIDER, command, partial(answers, port, READY), environment, url=f"http://127.0.0.1:{port}")


def provider_book(state: StateDirectory) -> Path:
    """The file of what the simulated provider moved."""
    return state.path / PROVIDER / "book.db"


def provider_secret(state: StateDirectory) -> str:
    """What the stack's provider shares with the tenants that it works for."""
    return state.secret(PROVIDER)


def api(state: StateDirectory, settings: Settings) -> Part:
    """The HTTP API, which knows the windows workers of this stack unless it is told of others."""
    workers = (f"http://127.0.0.1:{state.port(name)}" for name in _windows_names(settings.windows_workers))
    urls = settings.windows_urls or ",".join(workers)
    chosen = _api_port(state, settings)
    told = {"windows_urls": urls, "operations_port": ""}
    told["console_operators"] = settings.console_operators or DEVELOPMENT_TENANT
    return _part(state, settings, "api", ("api",), "api_port", chosen, **told)


def _api_port(state: StateDirectory, settings: Settings) -> int:
    chosen = settings.api_port if "api_port" in settings.model_fields_set else 0
    return chosen or state.port("api")


def _windows_names(count: int) -> list[str]:
    return [f"windows-{number}" for number in range(1, count + 1)]


def _worker(name: str, kind: str) -> Program:
    def make(state: StateDirectory, settings: Settings) -> Part:
        part = _part(state, settings, name, ("worker", kind), "worker_port", worker_url="")
        return replace(part, niceness=WORKER_NICENESS)

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
        "kafka_security_protocol": settings.kafka_security_protocol,
        "kafka_sasl_user": settings.kafka_sasl_user or "",
        "kafka_sasl_password": settings.kafka_sasl_password or "",
        "postgres_dsn": settings.postgres_dsn or "",
        "state_dir": str(state),
        "internal_token": settings.internal_token or state.secret("internal-token"),
        "key_secret": settings.key_secret or state.secret("api-keys"),
        "payment_rules": json.dumps(settings.payment_rules),
        "sealing_keys": ensure_sealing_keys(settings, state).sealing_keys or "",
        port_setting: str(port),
        **more,
    }
    environment = inherited(**{environment_name(setting): value for setting, value in told.items()})
    command = partial(_module, PROGRAM, arguments)
    return Part(name, command, partial(answers, port, READY), environment, url=f"http://127.0.0.1:{port}")


async def _module(module: str, arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", module, *arguments]
