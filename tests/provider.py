"""The provider simulator in a process of its own, and what tests ask of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from ledger.adapters.provider.rules import ProviderRules
from ledger.application.providers import ChargeRequest, RefundRequest
from tests.builders import event_id

SECRET = b"a secret of the tests"
LOOPBACK = ("127.0.0.0/8",)


@dataclass
class Simulator:
    """One process with its book; it can be killed and started again."""

    book_file: Path
    secrets: Sequence[bytes] = (SECRET,)
    port: int = 0
    _process: "subprocess.Popen[str] | None" = field(default=None, repr=False)

    def start(self) -> "Simulator":
        """Start it, on its former port if it had one, and wait until it takes calls."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "streams.embedded.provider"),
                *("--port", str(self.port), "--book", str(self.book_file)),
            ],
            env={**os.environ, "PROVIDER_SECRETS": b",".join(self.secrets).decode()},
            stdout=subprocess.PIPE,
            text=True,
        )
        stdout = self._process.stdout
        assert stdout is not None
        self.port = json.loads(stdout.readline())["port"]
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; gives its exit code."""
        process = self._process
        assert process is not None
        process.send_signal(how)
        with process:
            return process.wait(10)

    def rules(self, **changes: Any) -> ProviderRules:
        """How the ledger calls it."""
        given = {
            "name": "simulated",
            "tenant": "acme",
            "url": self.url,
            "secret": self.secrets[0],
            "hosts": ["127.0.0.1"],
            "networks": LOOPBACK,
            "plain_http": True,
            "total_timeout_s": 5.0,
        }
        return ProviderRules(**{**given, **changes})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def follow(self, *rules: dict[str, Any], **more: Any) -> None:
        """Give it a script."""
        async with aiohttp.ClientSession() as session:
            script = {"rules": rules, **more}
            async with session.post(f"{self.url}/script", json=script) as answer:
                assert answer.status == 200, await answer.text()

    async def book(self) -> dict[str, Any]:
        """What `GET /book` tells."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/book") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def lines(self, tenant: str) -> list[dict[str, Any]]:
        """The lines of a tenant's book."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/book/lines") as answer:
            lines = [json.loads(line) for line in (await answer.text()).splitlines()]
            return [line for line in lines if line["tenant"] == tenant]


def charge(key: str, tenant: str = "acme", amount: int = 1250, **more: Any) -> ChargeRequest:
    """Make a request for a charge."""
    given = {"payment": event_id(f"payment-{key}"), "asset": "USD/2", "account": "customer:ann", **more}
    return ChargeRequest(idempotency_key=key, tenant=tenant, amount=amount, **given)


def refund(key: str, of: str, tenant: str = "acme", amount: int = 1250, **more: Any) -> RefundRequest:
    """Make a request for a refund of the charge with a reference."""
    given = {"payment": event_id(f"payment-{key}"), "asset": "USD/2", **more}
    return RefundRequest(idempotency_key=key, tenant=tenant, amount=amount, charge=of, **given)
