"""A ledger in full, with what random events came to in it: what the checker is tried on."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import orjson

from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.system import new_event_id
from ledger.application.api_keys import KeyWish, scopes_of
from ledger.bootstrap.keys import api_keys
from ledger.bootstrap.providers import providers_in
from loadtests.chaos.checker.options import Options, Topics
from streams.embedded.state import free_port
from tests.builders import event_id
from tests.end_to_end.books import WAIT_S, Books, event
from tests.end_to_end.forking import Forked, Nursery
from tests.provider import SECRET, Simulator
from tests.random_events import random_command

RULES = {"answer_s": 0.6, "outcome_s": 0.6, "backoff_s": 0.05, "backoff_s_max": 0.3, "not_found_grace_s": 0.6}
POISON = (b"", b"no JSON", b'{"specversion":"1.0"}', b"\xff\xfe", b"[" * 1000, b"NaN")
PROGRAMS = (
    ("worker",),
    ("worker", "roll-windows"),
    ("worker", "advance-payments"),
    ("worker", "chain-transactions"),
    ("api",),
)
SEED = 8


@dataclass
class Stage:
    """The ledger, the file of what was sent to it, and where its API and provider are."""

    books: Books
    sent: Path
    api: str
    key: str
    provider: str

    @property
    def options(self) -> Options:
        """What the checker is told of it."""
        settings = self.books.settings
        return Options(
            kafka=str(settings.kafka_bootstrap),
            postgres=str(settings.postgres_dsn),
            schema=settings.postgres_schema,
            topics=Topics(
                settings.payments_topic,
                settings.outcomes_topic,
                settings.entries_topic,
                settings.dead_letters_topic,
            ),
            groups={
                settings.posting_group: settings.payments_topic,
                settings.windows_group: settings.entries_topic,
                settings.chain_group: settings.outcomes_topic,
            },
            sent=(self.sent,),
            api=self.api,
            api_keys=(self.key,),
            chained=True,
            provider=self.provider,
            provider_name="bank",
            sample=20,
            rebuild=False,
        )


def stream(chance: Random, count: int, tenant: str) -> Iterator[bytes]:
    """Make events over few accounts, with repeats, ids used anew, and poison."""
    made: list[tuple[int, str]] = []
    ids: dict[int, str] = {}
    values: list[bytes] = []
    for number in range(count):
        luck = chance.random()
        if values and luck < 0.06:
            values.append(chance.choice(values))
        elif luck < 0.09:
            values.append(chance.choice(POISON))
        else:
            ids[number] = ids[chance.choice(list(ids))] if ids and luck < 0.12 else new_event_id()
            event_type, data = random_command(chance, made)
            made.append((number, event_type))
            values.append(_with_ids(event_type, data, ids[number], ids, tenant))
        yield values[-1]


def _with_ids(event_type: str, data: dict[str, Any], own: str, ids: dict[int, str], tenant: str) -> bytes:
    for member in ("hold", "transaction"):
        named = {event_id(name): found for name, found in ids.items()}
        if member in data:
            data = {**data, member: named.get(data[member], data[member])}
    data = {name: value for name, value in data.items() if not _is_too_large(value)}
    return event(event_type, data, own, tenant)


def _is_too_large(value: Any) -> bool:
    """What orjson cannot write; decoding is tried elsewhere."""
    if isinstance(value, dict):
        return any(_is_too_large(each) for each in value.values())
    return isinstance(value, int) and abs(value) >= 2**63


@asynccontextmanager
async def staged(kafka: str, dsn: str, directory: Path) -> AsyncIterator[Stage]:
    """Open a ledger, run events through it, and wait until it is quiet."""
    nursery, simulator = Nursery(directory), Simulator(directory / "book").start()
    try:
        async with Books.open(kafka, dsn, "checked", directory) as books:
            books.environment["LEDGER_PAYMENT_RULES"] = orjson.dumps(RULES).decode()
            books.environment |= {
                "LEDGER_API_PORT": "0",
                "LEDGER_WINDOWS_URLS": f"http://127.0.0.1:{(port := free_port(set()))}",
            }
            key = await _prepare(books, simulator.url)
            ports = {"roll-windows": str(port)}
            programs = [
                nursery.start(each, {**books.environment, "LEDGER_WORKER_PORT": ports.get(each[-1], "0")})
                for each in PROGRAMS
            ]
            sent = await _send(books, Random(SEED))
            api = f"http://127.0.0.1:{await _port(programs[-1])}"
            yield Stage(books, sent, api, key, simulator.url)
            for program in programs:
                await program.kill()
    finally:
        nursery.close()
        simulator.stop()


async def _prepare(books: Books, provider: str) -> str:
    """Give the tenant a provider, and a key."""
    pool = await open_pool(str(books.settings.postgres_dsn), books.settings, size=1)
    settings = {"url": provider, "secrets": [SECRET.decode()], "hosts": ["127.0.0.1"], "plain_http": True}
    try:
        await providers_in(pool, books.settings).put(
            "acme", "bank", {**settings, "networks": ["127.0.0.0/8"]}
        )
    finally:
        await pool.close()
    secret = books.environment["LEDGER_KEY_SECRET"]
    async with api_keys(books.settings, str(books.settings.postgres_dsn), key_secret=secret) as keys:
        return str((await keys.create(KeyWish("acme", "tests", scopes_of(("read",))), "tests"))[0])


async def _send(books: Books, chance: Random) -> Path:
    """Send the streams of two tenants, each value under one of four keys; gives the file of what was sent."""
    values = [*stream(chance, 300, "acme"), *stream(chance, 60, "rival")]
    keys: Sequence[bytes | None] = [chance.choice([b"a", b"b", b"c", None]) for _ in values]
    await books.send(values, keys)
    await books.until_handled(len(values))
    rows = [
        {
            "partition": each.partition,
            "offset": each.offset,
            "value_base64": _base64(each.value),
            "acked": True,
        }
        for each in await books.records(books.settings.payments_topic)
    ]
    path = books.directory / "sent.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


async def _port(program: Forked) -> int:
    deadline = monotonic() + WAIT_S
    while True:
        for line in program.log.splitlines() if program.base.with_suffix(".log").exists() else ():
            if '"api.started"' in line:
                return int(orjson.loads(line)["port"])
        assert monotonic() < deadline, "the API did not start"
        await asyncio.sleep(0.05)
