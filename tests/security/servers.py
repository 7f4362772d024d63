"""A Kafka and a PostgreSQL that show certificates of a test's own authority, and ask who comes."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import trustme
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ledger.observability.signals import Signals
from streams.embedded.kafka import KafkaServer
from streams.embedded.postgres import DATABASE, USER, PostgresServer
from streams.embedded.state import StateDirectory
from streams.embedded.supervisor import Supervisor
from tests.security.front import tls_front

SCRAM_USER = "ledger"
SCRAM_PASSWORD = "MARK of Kafka: ü,=&'\" "
ITERATIONS = 4096
PROTOCOLS = {"CONTROLLER": "PLAINTEXT", "PLAINTEXT": "PLAINTEXT", "SSL": "SSL", "SASL_SSL": "SASL_SSL"}


class Authority:
    """Certificate authorities as files: the one that vouches for the servers, and one that vouches for nobody here."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        own = trustme.CA()
        # The servers are 127.0.0.1 and nothing else: `localhost` reaches them under a wrong name.
        shown = own.issue_cert("127.0.0.1")
        self.file, self.foreign_file = directory / "ca.pem", directory / "foreign.pem"
        own.cert_pem.write_to_path(self.file)
        trustme.CA().cert_pem.write_to_path(self.foreign_file)
        self.key, self.certificate = directory / "server.key", directory / "server.pem"
        self.key.write_bytes(_as_pkcs8(shown.private_key_pem.bytes()))
        shown.cert_chain_pems[0].write_to_path(self.certificate)
        self.both = directory / "both.pem"
        self.both.write_bytes(self.key.read_bytes() + self.certificate.read_bytes())


def _as_pkcs8(key: bytes) -> bytes:
    """Write a key in the one form that Kafka reads."""
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return load_pem_private_key(key, password=None).private_bytes(*form)


@dataclass(frozen=True, slots=True)
class SecureServers:
    """Where they are; `scram` and `encrypted` are listeners of the same broker, by their ports on 127.0.0.1."""

    authority: Authority
    scram: int
    encrypted: int
    postgres: int
    postgres_password: str

    def dsn(self, ca: Path, host: str = "127.0.0.1", password: str | None = None) -> str:
        """PostgreSQL's address, with its certificate and name checked."""
        given = quote(self.postgres_password if password is None else password, safe="")
        way = f"sslmode=verify-full&sslrootcert={ca}"
        return f"postgresql://{USER}:{given}@{host}:{self.postgres}/{DATABASE}?{way}"

    def environment(self, **changes: str) -> dict[str, str]:
        """What is set to reach them, with `changes` of it."""
        return {
            "LEDGER_KAFKA_BOOTSTRAP": f"127.0.0.1:{self.scram}",
            "LEDGER_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "LEDGER_KAFKA_CA_FILE": str(self.authority.file),
            "LEDGER_KAFKA_SASL_USER": SCRAM_USER,
            "LEDGER_KAFKA_SASL_PASSWORD": SCRAM_PASSWORD,
            "LEDGER_POSTGRES_DSN": self.dsn(self.authority.file),
            **changes,
        }


class _SecureKafka(KafkaServer):
    """Besides the open listener, which only this test knows, one with TLS, and one that asks for a user."""

    def __init__(self, state: StateDirectory, authority: Authority) -> None:
        super().__init__(state, lambda done, total: None)
        self.encrypted, self.scram = state.port("kafka-ssl"), state.port("kafka-sasl-ssl")
        self._authority = authority

    def _properties(self) -> Mapping[str, object]:
        plain = super()._properties()
        secure = f"SSL://127.0.0.1:{self.encrypted},SASL_SSL://127.0.0.1:{self.scram}"
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return {
            **plain,
            "listeners": f"{plain['listeners']},{secure}",
            "advertised.listeners": f"{plain['advertised.listeners']},{secure}",
            "listener.security.protocol.map": ",".join(f"{name}:{way}" for name, way in PROTOCOLS.items()),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self._authority.both,
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login,
        }


@asynccontextmanager
async def secure_servers(directory: Path) -> AsyncIterator[SecureServers]:
    """Start both, for as long as the block runs."""
    state = StateDirectory(directory / "state")
    state.make()
    authority = Authority(state.path / "authority")
    kafka, postgres, port = _SecureKafka(state, authority), PostgresServer(state), state.port("postgres")
    supervisor = Supervisor(state, Signals(), lambda: None)
    try:
        await supervisor.start(kafka.part(), postgres.part())
        await asyncio.to_thread(_add_user, kafka.bootstrap)
        async with tls_front(authority.certificate, authority.key, port) as front:
            yield SecureServers(
                authority, kafka.scram, kafka.encrypted, front, state.secret("postgres_password")
            )
    finally:
        await supervisor.stop()


class _SecurePostgres(PostgresServer):
    """One that speaks TLS itself, and asks it of everybody: from where the system has it."""

    def __init__(self, state: StateDirectory, authority: Authority, folder: Path) -> None:
        shown = {"ssl": "on", "ssl_cert_file": authority.certificate, "ssl_key_file": authority.key}
        super().__init__(state, more={name: str(value) for name, value in shown.items()})
        self._programs = folder
        if self._account is not None:
            self._account.own(authority.key)
        authority.key.chmod(0o600)

    async def _run_initdb(self, data: Path) -> None:
        arguments = (f"--pgdata={data}", f"--username={USER}", "--auth=trust", "--encoding=UTF8")
        await self._run(str(self._programs / "initdb"), *arguments, "--locale=C", "--no-instructions")


def postgres_with_tls() -> Path | None:
    """Find the programs of a PostgreSQL of this machine that was built with TLS; the wheel's was not."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found += [Path(program).resolve().parent for program in (shutil.which("postgres"),) if program]
    return next((folder for folder in reversed(found) if _speaks_tls(folder)), None)


def _speaks_tls(folder: Path) -> bool:
    tool = folder / "pg_config"
    if not tool.exists() or not (folder / "initdb").exists():
        return False
    return "ssl" in subprocess.run([tool, "--configure"], capture_output=True, text=True, check=True).stdout


@asynccontextmanager
async def secure_postgres(directory: Path, folder: Path) -> AsyncIterator[SecureServers]:
    """Start a PostgreSQL that speaks TLS itself; there is no Kafka beside it."""
    state = StateDirectory(directory / "state")
    state.make()
    authority = Authority(state.path / "authority")
    supervisor, port = Supervisor(state, Signals(), lambda: None), state.port("postgres")
    try:
        await supervisor.start(_SecurePostgres(state, authority, folder).part())
        yield SecureServers(authority, 0, 0, port, state.secret("postgres_password"))
    finally:
        await supervisor.stop()


def _add_user(bootstrap: str) -> None:
    way = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    wish = UserScramCredentialUpsertion(SCRAM_USER, way, SCRAM_PASSWORD.encode())
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.alter_user_scram_credentials([wish])[SCRAM_USER].result(20)
