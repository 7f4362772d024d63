"""Secrets stand nowhere: not in what commands print, not in logs, answers, reports or the arguments of processes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ledger.config import Settings
from streams.cli.running import told_settings
from streams.settings import SECRETS, masked, shown_settings
from tests.security.deployment import PROVIDER_SECRET, Deployment, lines_of_life

pytestmark = pytest.mark.slow

GUESSED = "MARK-guessed"


def told(deployment: Deployment, text: str) -> list[str]:
    """Name the secrets that stand in a text, as they are or as JSON or an address writes them."""
    found = []
    for what, secret in deployment.secrets.items():
        forms = {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.encode().hex()}
        if any(form in text for form in forms):
            found.append(what)
    return found


async def test_no_command_tells_a_secret(deployment: Deployment, tmp_path: Path) -> None:
    secrets, events = tmp_path / "secrets", lines_of_life(tmp_path / "life.jsonl")
    secrets.write_text(PROVIDER_SECRET)
    given = ("--url", "https://pay.example", "--secrets", str(secrets))
    assert (await deployment.run("provider", "set", "demo/bank", *given)).returncode == 0
    for command in (
        *("doctor --json", "doctor --settings --json", "status --json", "key list --json"),
        *("provider show demo/bank --json", "provider check demo/bank", "verify --json", "dlq list --json"),
        f"send {events} --wait 20 --json",
        f"replay --dry-run --json --report {tmp_path / 'report.html'}",
    ):
        await deployment.run(*command.split())
    assert told(deployment, "\n".join([*deployment.printed, *reports(tmp_path)])) == []


def reports(folder: Path) -> list[str]:
    found = [path.read_text() for path in folder.glob("report.*")]
    assert len(found) == 1
    return found


@pytest.mark.parametrize(
    "broken",
    [
        {"LEDGER_KAFKA_BOOTSTRAP": "127.0.0.1:9"},
        {"LEDGER_POSTGRES_DSN": f"postgresql://ledger:{GUESSED}@127.0.0.1:9/ledger?sslmode=odd"},
        {"LEDGER_POSTGRES_DSN": f"postgresql://127.0.0.1:9/ledger?user=ledger&password={GUESSED}"},
    ],
    ids=["kafka", "user", "query"],
)
async def test_a_command_that_reaches_nothing_tells_no_secret(
    deployment: Deployment, broken: dict[str, str]
) -> None:
    done = await deployment.run("doctor", "--json", **broken)
    said = done.stdout + done.stderr
    assert (done.returncode, told(deployment, said), "MARK" in said) == (3, [], False)


async def test_a_password_that_is_refused_is_not_told(deployment: Deployment) -> None:
    done = await deployment.run(
        "worker",
        LEDGER_POSTGRES_DSN=deployment.servers.dsn(deployment.servers.authority.file, password=GUESSED),
    )
    said = done.stdout + done.stderr
    assert (done.returncode, told(deployment, said), GUESSED in said) == (3, [], False)


SCRAM = {
    "LEDGER_KAFKA_BOOTSTRAP": "127.0.0.1:9",
    "LEDGER_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "LEDGER_KAFKA_SASL_USER": "ledger",
    "LEDGER_KAFKA_SASL_PASSWORD": GUESSED,
}


@pytest.mark.parametrize(
    "broken",
    [
        {**SCRAM, "LEDGER_KAFKA_SASL_USER": ""},
        {**SCRAM, "LEDGER_KAFKA_SECURITY_PROTOCOL": "SSL"},
        {**SCRAM, "LEDGER_KAFKA_BOOTSTRAP": ""},
        {"LEDGER_KAFKA_BOOTSTRAP": f"ledger:{GUESSED}@host:9092"},
        {"LEDGER_SEALING_KEYS": f"{GUESSED} not a key"},
        {"LEDGER_KEY_SECRET": "MARK-short"},
        {"LEDGER_INTERNAL_TOKEN": "MARK-short"},
        {"LEDGER_REDIS_URL": f"{GUESSED}://:{GUESSED}@host"},
        {"LEDGER_REDIS_URL": f"redis://:{GUESSED}/x@host"},
        {"LEDGER_POSTGRES_DSN": f"postgresql://ledger:{GUESSED}@127.0.0.1:70000/ledger"},
        {"LEDGER_POSTGRES_DSN": f"postgresql://ledger:{GUESSED}/x@@127.0.0.1:not/ledger"},
        {"LEDGER_POSTGRES_REPLICA_DSN": f"mysql://ledger:{GUESSED}@host"},
    ],
    ids=str,
)
def test_a_setting_that_is_wrong_is_not_told_with_its_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: dict[str, str]
) -> None:
    for name, value in broken.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit), told_settings():
        Settings()
    said = "".join(capsys.readouterr())
    assert ("LEDGER_" in said, "MARK" in said) == (True, False)


async def test_no_answer_of_the_api_tells_a_secret(deployment: Deployment) -> None:
    answers = []
    async with deployment.client() as client, deployment.client(f"lk_live_{GUESSED}") as stranger:
        for path in (
            "/v1/accounts",
            "/v1/nowhere",
            "/openapi.json",
            "/health/ready",
            "/metrics",
            "/v1/events",
        ):
            answers += [await client.get(path), await stranger.get(path)]
        bad = {"Ledger-Signature": f"v1={GUESSED}", "Ledger-Timestamp": "1"}
        answers.append(await client.post("/v1/providers/bank/webhooks", content=b"{}", headers=bad))
        answers.append(await client.post("/v1/events", content=GUESSED.encode()))
        answers.append(await client.get("/v1/accounts/ann/balance", params={"asset": "USD/2"}))
    said = "\n".join(f"{dict(answer.headers)} {answer.text}" for answer in answers)
    assert (told(deployment, said), GUESSED in said) == ([], False)


async def test_no_log_tells_a_secret(deployment: Deployment) -> None:
    logs = deployment.logs()
    assert len(logs.splitlines()) > 50
    assert told(deployment, logs) == []


async def test_no_process_is_given_a_secret_as_an_argument(deployment: Deployment) -> None:
    lines = deployment.command_lines()
    assert len(lines) > 4
    assert told(deployment, "\n".join(lines)) == []


async def test_what_is_told_is_seen(deployment: Deployment) -> None:
    for what, secret in deployment.secrets.items():
        assert told(deployment, f"planted: {json.dumps(secret)} in a line") == [what]


async def test_only_its_owner_may_read_what_the_stack_keeps(deployment: Deployment) -> None:
    kept = [path for path in deployment.ledger.state_dir.glob("*") if path.is_file()]
    holding = [path for path in kept if told(deployment, path.read_text(errors="replace"))]
    assert [path.name for path in holding if path.stat().st_mode & 0o077] == []


def secret_settings() -> dict[str, Any]:
    """Settings whose name says that they are secret."""
    words = ("password", "secret", "token", "keys")
    return {
        name: field for name, field in Settings.model_fields.items() if any(word in name for word in words)
    }


def test_every_secret_setting_is_known_as_one() -> None:
    assert set(secret_settings()) == set(SECRETS)


def test_settings_that_are_shown_hide_their_secrets() -> None:
    values: dict[str, Any] = dict.fromkeys(SECRETS, GUESSED * 3)
    settings = Settings().model_copy(update={**values, "redis_url": f"redis://:{GUESSED}@host/0"})
    shown = [str(each.value) for each in shown_settings(settings, os.environ, {})]
    assert [value for value in shown if GUESSED in value] == []


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://u:{GUESSED}@h/d",
        f"postgresql://h/d?user=u&password={GUESSED}",
        f"redis://:{GUESSED}@h/0",
        f"could not connect to postgresql://u:{GUESSED}@h/d: refused",
    ],
)
def test_passwords_in_addresses_are_masked(address: str) -> None:
    assert GUESSED not in masked(address)
