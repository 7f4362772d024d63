"""TLS and passwords to Kafka and PostgreSQL: every process gets through, and who must not get through is told why."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger.adapters.kafka.access import KafkaAccess
from ledger.adapters.kafka.connecting import KafkaRefusedError
from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.system import new_event_id
from ledger.client import KafkaClient, transfer
from ledger.config import Settings
from streams.transport.errors import PublishError
from streams.transport.publisher import BatchPublisher
from tests.security.deployment import Deployment, lines_of_life
from tests.security.servers import (
    SCRAM_PASSWORD,
    SCRAM_USER,
    SecureServers,
    postgres_with_tls,
    secure_postgres,
)

pytestmark = pytest.mark.slow


def right(servers: SecureServers) -> KafkaAccess:
    address = f"127.0.0.1:{servers.scram}"
    return KafkaAccess(
        address, "SASL_SSL", servers.authority.file, "SCRAM-SHA-512", SCRAM_USER, SCRAM_PASSWORD
    )


def wrong(servers: SecureServers) -> dict[str, tuple[KafkaAccess, str]]:
    """Each way not to get through, with what is said of it."""
    good = right(servers)
    return {
        "another password": (replace(good, password="guessed"), "refuses the user ledger, or the password"),
        "another user": (replace(good, user="mallory"), "refuses the user mallory"),
        "another authority": (replace(good, ca_file=servers.authority.foreign_file), "LEDGER_KAFKA_CA_FILE"),
        "the machine's authorities": (replace(good, ca_file=None), "certificate is not believed"),
        "another name": (replace(good, servers=f"localhost:{servers.scram}"), "not valid for 'localhost'"),
        "another mechanism": (replace(good, mechanism="PLAIN"), "does not take PLAIN"),
        "no TLS": (KafkaAccess(good.servers), "LEDGER_KAFKA_SECURITY_PROTOCOL"),
        "no user": (replace(good, protocol="SSL"), "it may want TLS or a user"),
        "nobody there": (replace(good, servers="127.0.0.1:9"), "Connect call failed"),
    }


WAYS = (
    *("another password", "another user", "another authority", "the machine's authorities", "another name"),
    *("another mechanism", "no TLS", "no user", "nobody there"),
)


# Kafka


@pytest.mark.parametrize("way", WAYS)
async def test_who_must_not_reach_kafka_is_told_why(servers: SecureServers, way: str) -> None:
    access, said = wrong(servers)[way]
    with pytest.raises(KafkaRefusedError) as caught:
        async with KafkaStream.open(access, "payments"):
            pass
    assert said in str(caught.value)
    assert SCRAM_PASSWORD not in str(caught.value)


async def test_a_publisher_tells_why_as_well(servers: SecureServers) -> None:
    access, said = wrong(servers)["another password"]
    with pytest.raises(PublishError, match=said):
        await BatchPublisher(access).start()


async def test_every_way_is_tried(servers: SecureServers) -> None:
    assert tuple(wrong(servers)) == WAYS


async def test_tls_without_a_user_gets_through(servers: SecureServers) -> None:
    access = KafkaAccess(f"127.0.0.1:{servers.encrypted}", "SSL", servers.authority.file)
    async with KafkaStream.open(access, "nowhere") as stream:
        assert await stream.bounds() == {}


# PostgreSQL: a front that speaks TLS for the embedded one, and one that speaks it itself, where there is one.


@pytest.fixture(scope="module", params=["front", "server"])
async def secured(
    request: pytest.FixtureRequest, servers: SecureServers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SecureServers]:
    if request.param == "front":
        yield servers
        return
    folder = postgres_with_tls()
    if folder is None:
        pytest.skip(
            "not run: needs a PostgreSQL built with TLS on this machine; the wheel's is built without"
        )
    async with secure_postgres(tmp_path_factory.mktemp("postgres"), folder) as started:
        yield started


async def connect(dsn: str) -> Any:
    """Connect as workers do."""
    pool = await open_pool(dsn, Settings(), size=1, role=None)
    try:
        async with pool.acquire() as connection:
            return await connection.fetchval("select 42")
    finally:
        await pool.close()


async def test_a_believed_certificate_gets_through(secured: SecureServers) -> None:
    assert await connect(secured.dsn(secured.authority.file)) == 42


@pytest.mark.parametrize("way", ["another authority", "another name", "another password"])
async def test_who_must_not_reach_postgres_is_told_why(secured: SecureServers, way: str) -> None:
    ca = secured.authority
    dsn, fault, said = {
        "another authority": (secured.dsn(ca.foreign_file), OSError, "unable to get local issuer"),
        "another name": (secured.dsn(ca.file, "localhost"), OSError, "not valid for 'localhost'"),
        "another password": (secured.dsn(ca.file, password="guessed"), asyncpg.PostgresError, "password"),
    }[way]
    with pytest.raises(fault, match=said):
        await connect(dsn)


# The whole ledger


async def test_events_go_through_every_process(deployment: Deployment, tmp_path: Path) -> None:
    file = lines_of_life(tmp_path / "life.jsonl")
    sent = await deployment.run("send", file, "--wait", "30", "--json")
    assert (sent.returncode, len(json.loads(sent.stdout)["outcomes"])) == (0, 7), sent.stderr
    verdict = await deployment.run("verify", "--json")
    assert verdict.returncode == 0, verdict.stdout


async def test_the_api_writes_to_kafka_and_hears_of_it(deployment: Deployment) -> None:
    event = {
        "specversion": "1.0",
        "id": new_event_id(),
        "source": "tests",
        "type": "transfer.post.v1",
        "data": {"debit": "external:bank", "credit": "ann", "amount": 5, "asset": "USD/2"},
    }
    async with deployment.client() as client:
        headers = {"Prefer": "wait=20", "Content-Type": "application/cloudevents+json"}
        answer = await client.post("/v1/events", content=json.dumps(event), headers=headers)
    assert (answer.status_code, '"status":"posted"' in answer.text) == (200, True), answer.text


async def test_a_program_sends_and_hears_with_its_client(deployment: Deployment) -> None:
    servers = deployment.servers
    kafka = KafkaAccess(
        f"127.0.0.1:{servers.scram}",
        "SASL_SSL",
        servers.authority.file,
        "SCRAM-SHA-512",
        SCRAM_USER,
        SCRAM_PASSWORD,
    )
    async with KafkaClient(kafka, "acme") as client:
        assert (await client.post(transfer("external:bank", "ann", 5, "USD/2"))).status == "posted"


@pytest.mark.parametrize(
    "command",
    ["archive run --once", "archive verify", "replay --dry-run", "doctor", "gap show", "migrate", "dlq list"],
)
async def test_commands_get_through(deployment: Deployment, command: str) -> None:
    done = await deployment.run(*command.split())
    assert done.returncode == 0, done.stdout + done.stderr


async def test_a_worker_with_another_password_ends_and_says_why(deployment: Deployment) -> None:
    done = await deployment.run("worker", LEDGER_KAFKA_SASL_PASSWORD="guessed")
    assert (done.returncode, "refuses the user ledger, or the password" in done.stderr) == (3, True)


async def test_the_doctor_says_what_is_wrong_with_the_certificate(deployment: Deployment) -> None:
    ca = deployment.servers.authority.foreign_file
    dsn = deployment.servers.dsn(ca)
    done = await deployment.run("doctor", "--json", LEDGER_KAFKA_CA_FILE=str(ca), LEDGER_POSTGRES_DSN=dsn)
    findings = {each["name"]: each["detail"] for each in json.loads(done.stdout)["findings"]}
    assert done.returncode == 3
    assert "LEDGER_KAFKA_CA_FILE names who vouches for it" in findings["kafka"]
    assert "certificate verify failed" in findings["postgres"]


async def test_a_file_of_authorities_that_is_not_there_is_named(
    deployment: Deployment, tmp_path: Path
) -> None:
    done = await deployment.run("worker", LEDGER_KAFKA_CA_FILE=str(tmp_path / "none.pem"))
    assert (done.returncode, "none.pem: No such file" in done.stderr) == (2, True), done.stderr


async def test_nobody_speaks_to_the_front_in_the_clear(servers: SecureServers) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", servers.postgres)
    writer.write(b"\x00\x00\x00\x08\x00\x03\x00\x00")
    assert await reader.read() == b""
    writer.close()
