"""Kafka on this machine: one node, broker and controller in one, on the Java of a wheel."""

import asyncio
import base64
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from aiokafka.client import AIOKafkaClient

from streams.embedded.artifacts import Progress, cache_directory, fetch
from streams.embedded.java import java_command
from streams.embedded.part import Part, accepts, bare
from streams.embedded.processes import run_tool
from streams.embedded.state import StateDirectory

HEAP_MIB = 384
OPEN = {"kafka_security_protocol": "PLAINTEXT", "kafka_sasl_user": None, "kafka_sasl_password": None}
"""Settings of who speaks to it: it listens on loopback only, and asks nobody."""
RECORD_BYTES_MAX = 2 * 1024**2

LOGGING = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {logs}/kafka-server.log
appender.file.filePattern = {logs}/kafka-server.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d] %p %m (%c)%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 16MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


class KafkaServer:
    """One Kafka in a state directory: its files, its command, and whether it answers.

    `more` are properties that differ from what stands here; servers of one `cluster` are told the same id.
    """

    def __init__(
        self,
        state: StateDirectory,
        progress: Progress,
        *,
        more: Mapping[str, object] | None = None,
        cluster: str | None = None,
    ) -> None:
        self._state = state
        self._progress = progress
        self._port = state.port("kafka")
        self._controller_port = state.port("kafka-controller")
        self._more = more or {}
        self._cluster = cluster
        self._data = state.kafka / "data"
        self._settings = state.kafka / "server.properties"

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self._port}"

    def part(self) -> Part:
        """What the supervisor must know."""
        return Part(
            name="kafka", command=self.command, ready=self.ready, environment=bare(), directory=Path("/")
        )

    async def command(self) -> list[str]:
        """Write the settings, make the storage when there is none, and give the command that serves."""
        class_path = await asyncio.to_thread(fetch, self._cache(), self._progress)
        self._write_files()
        if not (self._data / "meta.properties").exists():
            await self._format(class_path)
        return [*java_command("kafka.Kafka", class_path, self._options()), str(self._settings)]

    async def ready(self) -> bool:
        """Whether the broker is in its own metadata; asked over plain TCP first, which is cheap and quiet."""
        await accepts(self._port)
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap, request_timeout_ms=2000)
        try:
            await client.bootstrap()
            return bool(client.cluster.brokers())
        finally:
            await client.close()

    def _cache(self) -> Path:
        return cache_directory(self._state.path / "cache")

    def _write_files(self) -> None:
        scratch = self._state.kafka / "tmp"
        # Native libraries are unpacked here under random names, and a killed Kafka leaves them.
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        self._settings.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()))
        self._logging().write_text(LOGGING.format(logs=self._state.logs))

    async def _format(self, class_path: list[Path]) -> None:
        # Without meta.properties, which comes last, the directory is what a killed format left.
        shutil.rmtree(self._data, ignore_errors=True)
        cluster = self._cluster or new_cluster()
        tool = java_command("kafka.tools.StorageTool", class_path, self._options())
        arguments = ("format", f"--cluster-id={cluster}", f"--config={self._settings}")
        await run_tool(self._state, "kafka", [*tool, *arguments], bare())

    def _logging(self) -> Path:
        return self._state.kafka / "log4j2.properties"

    def _options(self) -> list[str]:
        return [
            f"-Xmx{HEAP_MIB}m",
            "-Xms128m",
            "-XX:MaxDirectMemorySize=128m",
            "-XX:MaxMetaspaceSize=160m",
            "-XX:ReservedCodeCacheSize=96m",
            "-XX:+UseSerialGC",
            # A broker of minutes on two cores does not live to see what the optimizing compiler would give it.
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            "-Djava.net.preferIPv4Stack=true",
            f"-Djava.io.tmpdir={self._state.kafka / 'tmp'}",
            f"-Dlog4j2.configurationFile={self._logging()}",
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
        ]

    def _properties(self) -> Mapping[str, object]:
        ours = listeners(self._port, self._controller_port) | SINGLE_NODE | {"log.dirs": self._data}
        return {**ours, **self._more}


def new_cluster() -> str:
    """Make the id of a new cluster."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def listeners(port: int, controller_port: int) -> dict[str, object]:
    """Loopback only: one listener for clients, one for the controller."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
    }


SINGLE_NODE: dict[str, object] = {
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": 50,
    # Lets a worker that died be missed sooner than the 6 s that are the least by default.
    "group.min.session.timeout.ms": 1000,
    "offsets.topic.num.partitions": 8,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    # Above what the ledger takes, so that too large a record arrives and becomes a dead letter.
    "message.max.bytes": RECORD_BYTES_MAX,
    "replica.fetch.max.bytes": RECORD_BYTES_MAX,
    # A killed broker may register again only when its last session has run out (9 s by default).
    "broker.session.timeout.ms": 2000,
    "broker.heartbeat.interval.ms": 250,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "num.recovery.threads.per.data.dir": 2,
}
