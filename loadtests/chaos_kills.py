"""Kill posting workers with -9 at random moments under load; then the books and an independent count must agree.

`python -m loadtests.chaos_kills [--kills 50] [--seed 1] [--rate 3000] [--json]`; exit 1 if anything is lost or doubled.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from time import monotonic

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from ledger.adapters.system import new_event_id
from ledger.config import Settings
from ledger.contract.outgoing import CONTENT_TYPE, record_key
from streams.embedded.programs import posting_workers
from streams.embedded.stack import EmbeddedStack
from streams.prepare import prepare
from streams.transport.publisher import BatchPublisher, Outgoing
from streams.verifying import verify_books

ACCOUNTS = 200
DUPLICATE_SHARE = 0.05
QUIET_S = 180.0
SENDS_PER_SECOND = 10


@dataclass(slots=True)
class Findings:
    """What the run did, and what the count found."""

    seed: int
    kills: int = 0
    sent: int = 0
    distinct: int = 0
    seconds: float = 0.0
    wrong_balances: dict[str, tuple[int, int]] = field(default_factory=dict)
    unanswered: int = 0
    missing_entries: int = 0
    violated: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.wrong_balances or self.unanswered or self.missing_entries or self.violated)


class Load:
    """Transfers between accounts without a limit, so that all must post; it keeps its own sums."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._recent: list[Outgoing] = []
        self.sums: Counter[str] = Counter()
        self.entries: Counter[str] = Counter()
        self.ids: set[str] = set()

    def next(self, topic: str) -> Outgoing:
        """One more record: mostly a new transfer, now and then one that was sent before."""
        if self._recent and self._random.random() < DUPLICATE_SHARE:
            return self._random.choice(self._recent)
        record = self._transfer(topic)
        self._recent = [*self._recent[-500:], record]
        return record

    def _transfer(self, topic: str) -> Outgoing:
        debit, credit = (f"external:{number}" for number in self._random.sample(range(ACCOUNTS), 2))
        amount, event_id = self._random.randrange(1, 10**6), new_event_id()
        self.sums[debit] -= amount
        self.sums[credit] += amount
        self.entries.update((debit, credit))
        self.ids.add(event_id)
        body = {
            "specversion": "1.0",
            "id": event_id,
            "source": "chaos",
            "type": "transfer.post.v1",
            "tenant": "chaos",
            "data": {"debit": debit, "credit": credit, "amount": amount, "asset": "USD/2"},
        }
        return Outgoing(topic, record_key("chaos", debit), orjson.dumps(body), (CONTENT_TYPE,))


class Chaos:
    """One run."""

    def __init__(self, stack: EmbeddedStack, seed: int, kills: int, rate: int) -> None:
        self._stack = stack
        self._settings = stack.settings
        self._random = Random(seed)
        self._load = Load(Random(seed + 1))
        self._kills = kills
        self._rate = rate
        self.findings = Findings(seed)

    async def run(self) -> Findings:
        started = monotonic()
        publisher = BatchPublisher(self._stack.kafka)
        await publisher.start()
        sending = asyncio.create_task(self._send(publisher))
        try:
            await self._kill()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await publisher.stop()
        self.findings.distinct = len(self._load.ids)
        await self._until_handled()
        await self._judge()
        self.findings.seconds = monotonic() - started
        return self.findings

    async def _send(self, publisher: BatchPublisher) -> None:
        topic = self._settings.payments_topic
        while True:
            records = [self._load.next(topic) for _ in range(self._rate // SENDS_PER_SECOND)]
            # Cancelled half-way a batch could be neither sent nor unsent, so what was begun is finished.
            await asyncio.shield(asyncio.create_task(self._publish(publisher, records)))
            await asyncio.sleep(1 / SENDS_PER_SECOND)

    async def _publish(self, publisher: BatchPublisher, records: list[Outgoing]) -> None:
        await publisher.publish(records)
        self.findings.sent += len(records)

    async def _kill(self) -> None:
        while self.findings.kills < self._kills:
            await asyncio.sleep(self._random.uniform(0.5, 6.0))
            pids = [
                each.pid for each in self._stack.processes() if each.name.startswith("worker") and each.pid
            ]
            if pids:
                os.kill(self._random.choice(pids), signal.SIGKILL)
                self.findings.kills += 1
                say(f"kill {self.findings.kills}/{self._kills}, {self.findings.sent:,} sent")

    async def _until_handled(self) -> None:
        """Wait until the group's position is the end of the topic: it moves after posting and publishing."""
        deadline = monotonic() + QUIET_S
        ends = await self._ends(self._settings.payments_topic)
        admin = AIOKafkaAdminClient(bootstrap_servers=self._stack.kafka)
        await admin.start()
        try:
            while monotonic() < deadline:
                found = await admin.list_consumer_group_offsets(self._settings.posting_group)
                if {place.partition: each.offset for place, each in found.items()} == ends:
                    return
                await asyncio.sleep(0.5)
        finally:
            await admin.close()
        self.findings.violated.append("liveness")

    async def _judge(self) -> None:
        rows = await self._sql(
            "select a.code, b.posted_credits - b.posted_debits "
            "from balances b join accounts a using (tenant_id, account_id)"
        )
        ours = {row[0]: row[1] for row in rows}
        self.findings.wrong_balances = {
            code: (total, ours.get(code, 0))
            for code, total in self._load.sums.items()
            if ours.get(code, 0) != total
        }
        answered = {outcome["id"] for outcome in await self._read(self._settings.outcomes_topic)}
        self.findings.unanswered = len(self._load.ids - answered)
        entries = {
            (each["data"]["account"], each["data"]["version"])
            for each in await self._read(self._settings.entries_topic)
        }
        self.findings.missing_entries = self._load.entries.total() - len(entries)
        verdict, _ = await verify_books(self._settings)
        self.findings.violated += [check.name for check in verdict.checks if not check.ok]

    async def _sql(self, query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(
            self._stack.postgres_dsn, server_settings={"search_path": self._settings.postgres_schema}
        )
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    async def _ends(self, topic: str) -> dict[int, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._stack.kafka)
        await consumer.start()
        try:
            places = [TopicPartition(topic, number) for number in range(self._settings.partitions)]
            return {place.partition: end for place, end in (await consumer.end_offsets(places)).items()}
        finally:
            await consumer.stop()

    async def _read(self, topic: str) -> list[dict[str, dict[str, object]]]:
        ends = await self._ends(topic)
        consumer = AIOKafkaConsumer(bootstrap_servers=self._stack.kafka, enable_auto_commit=False)
        await consumer.start()
        try:
            places = [TopicPartition(topic, number) for number in ends]
            consumer.assign(places)
            for place in places:
                consumer.seek(place, 0)
            found = []
            while any([await consumer.position(place) < ends[place.partition] for place in places]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [orjson.loads(record.value) for record in records]
            return found
        finally:
            await consumer.stop()


def say(text: str) -> None:
    """Tell the progress."""
    print(text, file=sys.stderr, flush=True)


async def main(arguments: argparse.Namespace) -> Findings:
    """Run on a stack of its own, which is removed afterwards."""
    os.environ.setdefault("LEDGER_SESSION_TIMEOUT_S", "2")
    directory = Path(tempfile.mkdtemp(prefix="ledger-kills-"))
    settings = Settings().model_copy(update={"kafka_bootstrap": None, "postgres_dsn": None})
    try:
        async with EmbeddedStack(
            directory,
            settings=settings,
            preparations=(prepare,),
            programs=posting_workers(arguments.workers),
        ) as stack:
            return await Chaos(stack, arguments.seed, arguments.kills, arguments.rate).run()
    finally:
        if not arguments.keep:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=int, default=3000, help="events sent a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="keep the data and logs")
    found = asyncio.run(main(parser.parse_args()))
    print(json.dumps({"ok": found.ok, **asdict(found)}, indent=2))
    sys.exit(not found.ok)
