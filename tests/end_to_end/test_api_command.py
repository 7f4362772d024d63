"""`ledger key` and `ledger api` as their users run them."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from migrations.run import migrate
from tests.end_to_end.command import PROGRAM, Ledger

SCHEMA = "api_command"
WAIT_S = 30.0


@pytest.fixture(scope="module")
async def environment(postgres_dsn: str) -> dict[str, str]:
    await migrate(postgres_dsn, SCHEMA)
    return {
        "LEDGER_POSTGRES_DSN": postgres_dsn,
        "LEDGER_POSTGRES_SCHEMA": SCHEMA,
        "LEDGER_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "LEDGER_KEY_SECRET": "a secret of the tests",
        "LEDGER_API_PORT": "0",
    }


@pytest.fixture
def ledger(environment: dict[str, str], tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "none", environment)


def test_a_key_is_shown_once_listed_and_revoked(ledger: Ledger) -> None:
    shown = ledger.run("key", "create", "--tenant", "solo")
    assert (len(shown.stdout.splitlines()), "shown once" in shown.stderr) == (1, True)
    made = ledger.report("key", "create", "--tenant", "acme", "--scope", "admin", "--expires", "90d")
    assert made["scopes"] == ["read", "write", "admin"]
    listed = ledger.report("key", "list", "--tenant", "acme")["keys"]
    assert [each["key_id"] for each in listed] == [made["key_id"]]
    assert made["key"] not in json.dumps(listed)
    assert ledger.report("key", "revoke", made["key_id"])["revoked_at"] is not None


def test_without_a_secret_and_a_stack_it_says_what_to_set(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = Ledger(tmp_path / "none", environment | {"LEDGER_KEY_SECRET": ""}).run("key", "list")
    assert done.returncode == 3
    assert "LEDGER_KEY_SECRET" in done.stderr


def test_a_port_that_is_taken_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = Ledger(tmp_path / "none", environment | {"LEDGER_API_PORT": port}).run("api")
    assert (done.returncode, "Address already in use" in done.stderr) == (2, True)


def test_the_api_starts_is_ready_and_stops_with_zero(ledger: Ledger, tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with log.open("wb") as file:
        process = subprocess.Popen([*PROGRAM, "api"], env=ledger.environment(), stderr=file)
    try:
        port = started(log)["port"]
        assert httpx.get(f"http://127.0.0.1:{port}/health/ready").json() == {"ready": True}
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
    assert "api.stopped" in log.read_text()


def test_health_is_on_a_port_of_its_own_where_one_is_set(environment: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    ledger = Ledger(tmp_path / "none", environment | {"LEDGER_OPERATIONS_PORT": "0"})
    with log.open("wb") as file:
        process = subprocess.Popen([*PROGRAM, "api"], env=ledger.environment(), stderr=file)
    try:
        facts = started(log)
        assert httpx.get(f"http://127.0.0.1:{facts['operations_port']}/health/live").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{facts['port']}/health/live").status_code == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()


def test_senders_behind_a_trusted_proxy_are_told_apart(environment: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    proxied = {
        "LEDGER_API_HOST": "::",
        "LEDGER_API_TRUSTED_PROXIES": "127.0.0.0/8",
        "LEDGER_QUOTA_REFUSED_WEBHOOKS_S": "0.5",
        "LEDGER_SEALING_KEYS": "c2VhbGluZyBrZXkgb2YgdGhlIHRlc3RzLCAzMiBiLi4",
    }
    with log.open("wb") as file:
        given = Ledger(tmp_path / "none", environment | proxied).environment()
        process = subprocess.Popen([*PROGRAM, "api"], env=given, stderr=file)
    try:
        url = f"http://127.0.0.1:{started(log)['port']}/v1/providers/bank/webhooks"
        senders = [*["192.0.2.7"] * 3, "192.0.2.8"]
        answers = [httpx.post(url, json={}, headers={"X-Forwarded-For": each}) for each in senders]
        assert [each.status_code for each in answers] == [401, 429, 429, 401]
    finally:
        process.kill()
        process.wait(WAIT_S)


def started(log: Path) -> dict[str, Any]:
    """Wait for the line that tells the ports."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        for line in log.read_text().splitlines():
            facts = json.loads(line) if line.startswith("{") else {}
            if facts.get("event") == "api.started":
                return dict(facts)
        time.sleep(0.05)
    raise AssertionError(log.read_text() + sys.version)
