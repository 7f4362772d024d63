"""A ledger of a test's own on the servers of the run: its schema, topics and group, and workers as processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from ledger.adapters.system import new_event_id
from ledger.config import Settings
from ledger.contract.decode import decode_event
from ledger.contract.keys import KeyChooser
from ledger.contract.outgoing import HEADERS
from ledger.domain.audit import Verdict
from streams.prepare import prepare
from streams.transport.publisher import BatchPublisher, Outgoing
from streams.verifying import verify_books

WAIT_S = 60.0
SESSION_S = "2"


def event(event_type: str, data: dict[str, Any], event_id: str | None = None, tenant: str = "acme") -> bytes:
    """One event of the contract."""
    body = {
        "specversion": "1.0",
        "id": event_id or new_event_id(),
        "source": "tests",
        "type": event_type,
        "tenant": tenant,
        "data": data,
    }
    return orjson.dumps(body)


def transfer(debit: str, credit: str, amount: int, event_id: str | None = None) -> bytes:
    """A transfer in USD/2."""
    data = {"debit": debit, "credit": credit, "amount": amount, "asset": "USD/2"}
    return event("transfer.post.v1", data, event_id)


def id_of(value: bytes) -> str:
    return str(orjson.loads(value)["id"])


class Worker:
    """A program of the ledger in a process of its own: a posting worker, unless `arguments` say otherwise."""

    def __init__(self, books: "Books", *, arguments: Sequence[str] = ("worker",), **environment: str) -> None:
        self._log = books.directory / f"worker-{len(list(books.directory.glob('worker-*')))}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", *arguments],
                env={**os.environ, **books.environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def exit_code(self) -> int:
        """Wait for its end."""
        return await asyncio.to_thread(self.process.wait, WAIT_S)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal, and wait for its end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return await self.exit_code()

    @property
    def port(self) -> int:
        """Where it says how it is; zero until it listens."""
        started = [
            line for line in self.log.splitlines() if '"worker.started"' in line or '"api.started"' in line
        ]
        return int(orjson.loads(started[0])["port"]) if started else 0

    @property
    def log(self) -> str:
        return self._log.read_text()


class Books:
    """A ledger under test."""

    def __init__(self, kafka: str, dsn: str, name: str, directory: Path, partitions: int = 4) -> None:
        self.directory = directory
        self.environment = {
            "LEDGER_KAFKA_BOOTSTRAP": kafka,
            "LEDGER_POSTGRES_DSN": dsn,
            "LEDGER_POSTGRES_SCHEMA": name,
            "LEDGER_PAYMENTS_TOPIC": f"{name}.payments",
            "LEDGER_OUTCOMES_TOPIC": f"{name}.outcomes",
            "LEDGER_ENTRIES_TOPIC": f"{name}.entries",
            "LEDGER_DEAD_LETTERS_TOPIC": f"{name}.dead-letters",
            "LEDGER_POSTING_GROUP": name,
            "LEDGER_WEBHOOKS_TOPIC": f"{name}.webhooks",
            "LEDGER_PAYMENTS_GROUP": f"{name}.advancing",
            "LEDGER_CHAIN_GROUP": f"{name}.chain",
            "LEDGER_CHAIN_SETTLE_S": "0.5",
            "LEDGER_CHAIN_SWEEP_S": "0.5",
            "LEDGER_WINDOWS_GROUP": f"{name}.windows",
            "LEDGER_WINDOWS_TOPIC": f"{name}.windows-changelog",
            "LEDGER_INTERNAL_TOKEN": "a token of the tests",
            "LEDGER_KEY_SECRET": "a secret of the tests",
            "LEDGER_SEALING_KEYS": "c2VhbGluZyBrZXkgb2YgdGhlIHRlc3RzLCAzMiBiLi4",
            "LEDGER_STATE_DIR": str(directory),
            "LEDGER_SESSION_TIMEOUT_S": SESSION_S,
            "LEDGER_HOLD_SWEEP_S": "0.3",
            "LEDGER_PARTITIONS": str(partitions),
        }
        values = {key.removeprefix("LEDGER_").lower(): value for key, value in self.environment.items()}
        self.settings = Settings.model_validate(values)
        self.publisher = BatchPublisher(kafka)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, kafka: str, dsn: str, name: str, directory: Path, *, partitions: int = 4
    ) -> AsyncIterator["Books"]:
        books = cls(kafka, dsn, name, directory, partitions)
        await prepare(books.settings)
        await books.publisher.start()
        try:
            yield books
        finally:
            await books.publisher.stop()

    @asynccontextmanager
    async def worker(
        self, *, arguments: Sequence[str] = ("worker",), **environment: str
    ) -> AsyncIterator[Worker]:
        """A worker, or another program, that is stopped at the end."""
        worker = Worker(self, arguments=arguments, **environment)
        try:
            yield worker
        finally:
            await worker.end(signal.SIGKILL)

    async def send(self, values: Iterable[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Send events under their keys, or under those given."""
        chooser = KeyChooser()
        values = list(values)
        chosen = keys or [chooser.key_of(decode_event(value)) for value in values]
        topic = self.settings.payments_topic
        await self.publisher.publish(
            [Outgoing(topic, key, value, HEADERS) for key, value in zip(chosen, values, strict=True)]
        )

    async def sql(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Ask the books as their owner."""
        connection = await asyncpg.connect(
            self.settings.postgres_dsn, server_settings={"search_path": self.settings.postgres_schema}
        )
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def handled(self) -> int:
        """Count the records that the books have handled."""
        rows = await self.sql("select coalesce(sum(next_offset), 0)::bigint as n from stream_offsets")
        return int(rows[0]["n"])

    async def until_handled(self, count: int) -> None:
        """Wait until the books stand at `count` records."""
        deadline, reached = monotonic() + WAIT_S, 0
        while reached < count:
            assert monotonic() < deadline, f"the books stand at {reached} of {count}"
            with suppress(OSError, asyncpg.PostgresError):  # it may be away just now, which some tests mean
                reached = await self.handled()
            await asyncio.sleep(0.05)

    async def balances(self) -> dict[str, int]:
        """Credits less debits, by account."""
        rows = await self.sql(
            "select a.code, b.posted_credits - b.posted_debits as net "
            "from balances b join accounts a using (tenant_id, account_id)"
        )
        return {row["code"]: row["net"] for row in rows}

    async def verdict(self) -> Verdict:
        verdict, _ = await verify_books(self.settings)
        return verdict

    async def violations(self) -> dict[str, list[dict[str, Any]]]:
        """What a verification finds wrong, by check."""
        return {each.name: each.violations for each in (await self.verdict()).checks if not each.ok}

    async def records(self, topic: str) -> list[Any]:
        """Read a topic from its beginning to its end as it is now."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            places = [TopicPartition(topic, number) for number in range(self.settings.partitions)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            for place in places:
                consumer.seek(place, 0)
            found: list[Any] = []
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
            return found
        finally:
            await consumer.stop()

    async def outcomes(self) -> dict[str, Counter[str]]:
        """Types of outcome seen, by event id."""
        seen: dict[str, Counter[str]] = {}
        for record in await self.records(self.settings.outcomes_topic):
            outcome = orjson.loads(record.value)
            seen.setdefault(outcome["id"], Counter())[outcome["type"]] += 1
        return seen

    async def published_entries(self) -> dict[str, list[dict[str, Any]]]:
        """Entries seen on their topic, by account, each version once."""
        seen: dict[str, dict[int, dict[str, Any]]] = {}
        for record in await self.records(self.settings.entries_topic):
            data = orjson.loads(record.value)["data"]
            seen.setdefault(data["account"], {})[data["version"]] = data
        return {account: [found[version] for version in sorted(found)] for account, found in seen.items()}

    async def versions(self) -> dict[str, int]:
        """The number of entries of each account."""
        rows = await self.sql(
            "select a.code, b.version from balances b join accounts a using (tenant_id, account_id)"
        )
        return {row["code"]: row["version"] for row in rows}

    async def until_published(self, versions: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
        """Wait until so many entries of each account are on their topic."""
        deadline = monotonic() + WAIT_S
        while True:
            seen = await self.published_entries()
            if all(len(seen.get(account, ())) >= count for account, count in versions.items()):
                return seen
            assert monotonic() < deadline, "entries are missing on their topic"
            await asyncio.sleep(0.1)

    async def until_records(self, topic: str, count: int) -> list[Any]:
        """Wait until a topic holds so many records."""
        deadline = monotonic() + WAIT_S
        while len(found := await self.records(topic)) < count:
            assert monotonic() < deadline, f"{topic} holds {len(found)} of {count} records"
            await asyncio.sleep(0.1)
        return found

    async def until_answered(self, ids: set[str]) -> dict[str, Counter[str]]:
        """Wait until every id has an outcome on its topic."""
        deadline = monotonic() + WAIT_S
        while not ids <= (seen := await self.outcomes()).keys():
            assert monotonic() < deadline, f"{len(ids - seen.keys())} of {len(ids)} have no outcome"
            await asyncio.sleep(0.1)
        return seen
