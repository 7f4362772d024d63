"""A whole ledger on servers that want TLS and passwords, whose every secret is a mark to look for."""

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from ledger.application.api_keys import parse_key
from tests.end_to_end.command import Ledger
from tests.end_to_end.serving_api import life
from tests.security.servers import SCRAM_PASSWORD, SecureServers

KEY_SECRET = "MARK-key-secret-0123456789"
INTERNAL_TOKEN = "MARK-internal-token-0123456789"
PROVIDER_SECRET = "MARK-provider-secret-0123456789"
REDIS_PASSWORD = "MARK-redis-password"
SEALING_KEY = base64.urlsafe_b64encode(b"MARK-sealing-key-of-32-bytes-012").decode()


@dataclass
class Deployment:
    """A ledger whose processes run, and all that its commands have printed."""

    ledger: Ledger
    servers: SecureServers
    stack: dict[str, str]
    printed: list[str] = field(default_factory=list)

    @property
    def secrets(self) -> dict[str, str]:
        """What must stand nowhere, by what it is."""
        return {
            "password of Kafka's user": SCRAM_PASSWORD,
            "PostgreSQL's password": self.servers.postgres_password,
            "Redis's password": REDIS_PASSWORD,
            "secret of API keys": KEY_SECRET,
            "token of workers": INTERNAL_TOKEN,
            "secret of a provider": PROVIDER_SECRET,
            "sealing key": SEALING_KEY,
            "an API key": secret_of_key(self.stack["api_key"]),
            "the key of an administrator": secret_of_key(self.stack["admin_key"]),
        }

    async def run(self, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Run a command beside the event loop, which serves; what it prints is kept."""
        ledger = Ledger(self.ledger.state_dir, {**self.ledger.changes, **changes})
        done = await asyncio.to_thread(ledger.run, *arguments)
        self.printed += [done.stdout, done.stderr]
        return done

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key or self.stack['api_key']}"}
        return httpx.AsyncClient(base_url=self.stack["api"], headers=headers, timeout=30.0)

    def logs(self) -> str:
        """All that processes have written on their outputs."""
        files = (self.ledger.state_dir / "logs").iterdir()
        return "\n".join(each.read_text(errors="replace") for each in files if each.is_file())

    def command_lines(self) -> list[str]:
        """The arguments of every process that belongs to the ledger."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if "streams.cli" in line and _is_of(process, self.ledger.state_dir):
                    found.append(line)
        return found


def secret_of_key(text: str) -> str:
    """Give the part of an API key that proves it, which may hold "_" as what parts it from the id does."""
    found = parse_key(text)
    assert found is not None, text
    return found.secret


def _is_of(process: psutil.Process, state_dir: Path) -> bool:
    return process.environ().get("LEDGER_STATE_DIR") == str(state_dir)


@asynccontextmanager
async def deployed(servers: SecureServers, directory: Path) -> AsyncIterator[Deployment]:
    """Start every kind of worker and the API, talkative, on servers that ask who comes; send what is in a life."""
    ledger = Ledger(
        directory / "state",
        servers.environment(
            LEDGER_LOG_LEVEL="debug",
            LEDGER_KEY_SECRET=KEY_SECRET,
            LEDGER_INTERNAL_TOKEN=INTERNAL_TOKEN,
            LEDGER_SEALING_KEYS=SEALING_KEY,
            LEDGER_REDIS_URL=f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0",
            LEDGER_ARCHIVE_URL=str(directory / "archive"),
        ),
    )
    up = await asyncio.to_thread(ledger.run, "up", "--detach", "--json")
    try:
        if up.returncode:
            raise RuntimeError(up.stderr)
        yield Deployment(ledger, servers, json.loads(up.stdout), [up.stderr])
    finally:
        await asyncio.to_thread(ledger.run, "down")


def written(values: Iterable[bytes], path: Path) -> str:
    """Write events a line each, and give the name of the file."""
    path.write_bytes(b"".join(value + b"\n" for value in values))
    return os.fspath(path)


def lines_of_life(path: Path) -> str:
    return written(life("demo"), path)
