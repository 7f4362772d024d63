"""Where a case is run: servers for all cases, and for each its own schema, topics and processes, gone afterwards."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from time import time_ns
from typing import Any

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from ledger.config import Settings, environment_name
from loadtests.bench.packing import Filler
from loadtests.workloads import TENANT, Record
from streams.demo.mix import TENANT as MIX_TENANT
from streams.development_keys import make_development_keys
from streams.embedded.part import Part
from streams.embedded.programs import (
    Program,
    api,
    chain_workers,
    payments_workers,
    posting_workers,
    provider,
    windows_workers,
)
from streams.embedded.stack import EmbeddedStack, Preparation
from streams.embedded.state import ProcessRecord, StateDirectory
from streams.prepare import prepare
from streams.simulated import give_simulated
from streams.topics import topics_of

AT_ONCE = 20_000
TOLD_EVERY = 200_000
_NAMED = ("payments", "outcomes", "entries", "dead_letters", "webhooks", "windows")
_GROUPS = ("posting", "windows", "payments", "chain")
OWN = frozenset(
    {"kafka_bootstrap", "postgres_dsn", "postgres_schema", "state_dir", "partitions"}
    | {"workers", "windows_workers", "payments_workers", "chain_workers"}
    | {f"{each}_topic" for each in _NAMED}
    | {f"{each}_group" for each in _GROUPS}
)
"""Settings that a stage has of its own, so that no wish leads it to other servers, or to the names of others."""
_HANDLED = "select coalesce(sum(next_offset), 0)::bigint from stream_offsets where topic = $1"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a case needs; `settings` are settings of the ledger that are to differ from their defaults."""

    workers: int = 1
    partitions: int = 4
    windows: int = 0
    payments: int = 0
    chain: int = 0
    api: bool = False
    provider_slots: int = 64
    settings: Mapping[str, Any] = field(default_factory=dict)


class Servers:
    """Kafka and PostgreSQL, which all cases of a run share."""

    def __init__(self, stack: EmbeddedStack, directory: Path) -> None:
        self.stack = stack
        self.directory = directory
        self.kafka = stack.kafka
        self.postgres_dsn = stack.postgres_dsn

    def log_bytes(self, topics: Iterable[str]) -> int | None:
        """How large the logs of topics are on disk; None if Kafka is not ours."""
        names = tuple(f"{topic}-" for topic in topics)
        # Folders of topics that were deleted go away meanwhile: os.walk passes them by.
        sizes = [
            (Path(folder) / name).stat().st_size
            for folder, _, files in os.walk(self.stack.state.kafka)
            if Path(folder).name.startswith(names)
            for name in files
            if name.endswith(".log")
        ]
        return sum(sizes) if sizes else None


@asynccontextmanager
async def servers(settings: Settings | None = None) -> AsyncIterator[Servers]:
    """Start servers, which are removed afterwards; those whose addresses are in the settings run already."""
    directory = Path(tempfile.mkdtemp(prefix="ledger-bench-"))
    ours = Settings().model_copy(update={"kafka_bootstrap": None, "postgres_dsn": None})
    try:
        async with EmbeddedStack(directory / "servers", settings=settings or ours) as stack:
            yield Servers(stack, directory)
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


class Stage:
    """Empty books and topics of one case, and the processes that work on them."""

    def __init__(self, servers_: Servers, wishes: Wishes, settings: Settings) -> None:
        self.servers = servers_
        self.wishes = wishes
        self.settings = settings
        self._running: list[EmbeddedStack] = []

    @property
    def topics(self) -> list[str]:
        """The topics of this case."""
        return [topic.name for topic in topics_of(self.settings)]

    @property
    def state(self) -> StateDirectory:
        """Where the processes of this case have their logs, ports and secrets."""
        return StateDirectory(self.settings.state_dir)

    def url(self, name: str) -> str:
        """Where a process of this case speaks HTTP (`api`, `worker-1`, `windows-1`)."""
        urls = (each.url for each in self._own_processes() if each.name == name)
        return next(urls, None) or ""

    def processes(self) -> Sequence[ProcessRecord]:
        """The processes of the servers, and of this case."""
        return (*self.servers.stack.processes(), *self._own_processes())

    @property
    def restarts(self) -> int:
        """How often a process of this case died."""
        return sum(each.restarts for each in self._own_processes())

    def _own_processes(self) -> Sequence[ProcessRecord]:
        return [each for stack in self._running for each in stack.processes()]

    @asynccontextmanager
    async def running(self, *more: Preparation) -> AsyncIterator[None]:
        """Run all processes, from here to the end of the block: posting last, so that it begins beside the others."""
        async with self.beside(*more), self.posting():
            yield

    @asynccontextmanager
    async def beside(self, *more: Preparation) -> AsyncIterator[None]:
        """Run what is not posting, from when it is ready."""
        preparations = (*_preparations(self.wishes), *more)
        async with self._run(self.settings.state_dir, _programs_beside(self.wishes), preparations):
            if self.wishes.payments:
                await self._have_all_accepted()
            yield

    async def _have_all_accepted(self) -> None:
        """Give the provider a script without rules: it accepts at once, and tells nobody."""
        url = f"{self.url('provider')}/script"
        async with aiohttp.ClientSession() as http:
            await http.post(url, json={"seed": 1, "rules": []}, raise_for_status=True)

    @asynccontextmanager
    async def posting(self) -> AsyncIterator[None]:
        """Run the posting workers. They begin before they are ready, which is when the block is entered."""
        async with self._run(self.settings.state_dir / "posting", posting_workers(self.wishes.workers)):
            yield

    @asynccontextmanager
    async def _run(
        self, directory: Path, programs: Sequence[Program], preparations: Sequence[Preparation] = ()
    ) -> AsyncIterator[None]:
        stack = EmbeddedStack(
            directory,
            settings=self.settings,
            preparations=preparations,
            programs=[partial(_told, self.settings, each) for each in programs],
        )
        self._running.append(stack)
        try:
            async with stack:
                yield
        finally:
            self._running.remove(stack)

    async def fill(self, records: Iterable[Record]) -> int:
        """Write records to the topic of payments; says how many."""
        done, left = 0, iter(records)
        filler = Filler(self.servers.kafka, self.settings.payments_topic)
        while some := list(islice(left, AT_ONCE)):
            await asyncio.to_thread(filler.write, some)
            done += len(some)
            if done % TOLD_EVERY == 0:
                tell(f"  {done:,} written")
        return done

    @asynccontextmanager
    async def connection(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        """Connect to the books as their owner."""
        connection = await asyncpg.connect(
            self.servers.postgres_dsn, server_settings={"search_path": self.settings.postgres_schema}
        )
        try:
            yield connection
        finally:
            await connection.close()

    async def handled(self, connection: "asyncpg.Connection[asyncpg.Record]") -> int:
        """How many records of the topic of payments the books have seen."""
        return int(await connection.fetchval(_HANDLED, self.settings.payments_topic))

    async def written(self, topic: str) -> int:
        """How many records a topic has, over all partitions."""
        return (await self.ends([topic]))[topic]

    async def ends(self, topics: Iterable[str]) -> dict[str, int]:
        """How many records topics have, over all partitions."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers.kafka)
        await consumer.start()
        try:
            numbers = range(self.wishes.partitions)
            places = {topic: [TopicPartition(topic, number) for number in numbers] for topic in topics}
            ends = await consumer.end_offsets([place for of_topic in places.values() for place in of_topic])
            return {topic: sum(ends[place] for place in of_topic) for topic, of_topic in places.items()}
        finally:
            await consumer.stop()

    async def windowed(self) -> int:
        """How many entries the windows workers have, with their checkpoints written: what their group committed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers.kafka, client_id="loadtests")
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self.settings.windows_group)
        finally:
            await admin.close()
        topic = self.settings.entries_topic
        return sum(
            found.offset for place, found in offsets.items() if place.topic == topic and found.offset > 0
        )


@asynccontextmanager
async def stage(servers_: Servers, wishes: Wishes) -> AsyncIterator[Stage]:
    """Make a schema and topics, which are dropped afterwards."""
    name = f"bench_{time_ns()}"
    settings = _settings(servers_, wishes, name)
    await prepare(settings)
    made = Stage(servers_, wishes, settings)
    async with AsyncExitStack() as afterwards:
        afterwards.push_async_callback(_drop_topics, made)
        afterwards.push_async_callback(_drop_schema, made)
        yield made


def _settings(servers_: Servers, wishes: Wishes, name: str) -> Settings:
    own: dict[str, Any] = {
        "kafka_bootstrap": servers_.kafka,
        "postgres_dsn": servers_.postgres_dsn,
        "postgres_schema": name,
        "state_dir": servers_.directory / name,
        "partitions": wishes.partitions,
        "windows_workers": wishes.windows,
        **{f"{each}_topic": f"{name}.{each}" for each in _NAMED},
        **{f"{each}_group": f"{name}.{each}" for each in _GROUPS},
    }
    return Settings.model_validate({"log_level": "warning", **wishes.settings, **own})


def _told(settings: Settings, program: Program, state: StateDirectory, of_stack: Settings) -> Part:
    """Tell a program every setting of the case: it has them from its environment."""
    part = program(state, of_stack)
    return replace(part, environment={**part.environment, **environment_of(settings)})


def environment_of(settings: Settings) -> dict[str, str]:
    """Give the variables that tell a program what was set, but for the state directory, which is its own."""
    given = settings.model_dump(mode="json", include=settings.model_fields_set, exclude_none=True)
    return {environment_name(name): _text(value) for name, value in given.items() if name != "state_dir"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _programs_beside(wishes: Wishes) -> list[Program]:
    return [
        *([provider] if wishes.payments else []),
        *windows_workers(wishes.windows),
        *payments_workers(wishes.payments),
        *chain_workers(wishes.chain),
        *([api] if wishes.api else []),
    ]


def _preparations(wishes: Wishes) -> list[Preparation]:
    slots = wishes.provider_slots
    give: list[Preparation] = [
        partial(give_simulated, tenant=tenant, slots=slots) for tenant in (TENANT, MIX_TENANT)
    ]
    return [*([make_development_keys] if wishes.api else []), *(give if wishes.payments else [])]


async def _drop_schema(made: Stage) -> None:
    async with made.connection() as connection:
        await connection.execute(f'drop schema "{made.settings.postgres_schema}" cascade')


async def _drop_topics(made: Stage) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=made.servers.kafka, client_id="loadtests")
    await admin.start()
    try:
        await admin.delete_topics(made.topics)
    finally:
        await admin.close()


def tell(text: str) -> None:
    """Tell the progress."""
    print(text, file=sys.stderr, flush=True)
