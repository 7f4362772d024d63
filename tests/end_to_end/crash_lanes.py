"""Books in which workers die at crash points: a record at a time, and then whatever else works on what they left."""

import asyncio
import time as clock
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import orjson

from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.system import new_event_id
from ledger.bootstrap.providers import providers_in
from ledger.contract.signature import WEBHOOK, sign
from loadtests.chaos.checker.options import Options, Topics
from loadtests.chaos.checker.run import check
from tests.end_to_end.books import WAIT_S, Books, event, id_of
from tests.end_to_end.crash_matrix import RULES
from tests.end_to_end.crash_table import (
    AMOUNT,
    BEFORE_THE_COMMIT,
    KINDS,
    PAYER_ACCOUNT,
    POINTS,
    POSTED,
    POSTING,
    SPECIAL,
    Row,
    records,
)
from tests.end_to_end.forking import Forked, Nursery
from tests.provider import SECRET, Simulator

POSTER = ("worker", "post-events")
ROLLER = ("worker", "roll-windows")
PAYER = ("worker", "advance-payments")
CHAINER = ("worker", "chain-transactions")
DIED = 137
KEY = b"one"
EXPIRE_S = (2.0, 6.0, 20.0)
"""One of these is over when a worker has begun, and placed the hold before that."""


class Deaths:
    """One ledger, in which programs die where they are told to."""

    def __init__(self, books: Books, nursery: Nursery, simulator: Simulator) -> None:
        self.books = books
        self._nursery = nursery
        self._simulator = simulator
        self.lived: list[Row] = []
        self.deaths = 0
        self.sent: dict[str, bytes] = {}
        self.directory = books.directory

    # Programs

    def start(self, arguments: Sequence[str], **environment: str) -> Forked:
        return self._nursery.start(arguments, {**self.books.environment, **environment})

    async def die(self, arguments: Sequence[str], crash: str, **environment: str) -> None:
        """Run a program until it dies at a point; raises AssertionError if it ends otherwise."""
        program = self.start(arguments, LEDGER_CRASH=crash, **environment)
        try:
            code = await program.exit_code()
            assert code == DIED, f"{' '.join(arguments)} at {crash}: {code}\n{program.log[-2000:]}"
        finally:
            await program.kill()

    async def finish(self, arguments: Sequence[str]) -> None:
        """Run a command to its end."""
        program = self.start(arguments)
        assert await program.exit_code() == 0, program.log

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Forked]:
        """Have a program run for a while."""
        program = self.start(arguments)
        try:
            yield program
        finally:
            await program.kill()

    def note(self, point: str, kinds: Sequence[str], time: int) -> None:
        """Note a death that was lived through: with one record of a kind in hand, or with one of each."""
        self.deaths += 1
        self.lived += [Row(point, kind, time) for kind in kinds]

    async def until(self, query: str, wanted: object = True) -> None:
        """Wait until a query gives a value."""
        deadline = monotonic() + WAIT_S
        while (found := (await self.books.sql(query))[0][0]) != wanted:
            assert monotonic() < deadline, f"{query}: {found}"
            await asyncio.sleep(0.03)

    # Posting

    async def post(self, rotation: int, *, twice_each: int = 1) -> None:
        """Let a worker die with each record, each at one of the points, and die there again with the same one.

        Each worker is of a group of its own: it begins where the log begins, waits for nobody, and comes to the
        point once for each record. All that was handled before is delivered again on the way. Of so many records
        one is died with twice.
        """
        self.sent = records()
        await self.books.send(self.sent.values(), [KEY] * len(self.sent))
        for number, kind in enumerate(self.sent):
            point = POSTING[(number + rotation) % len(POSTING)]
            if kind not in POINTS[point].kinds:
                continue
            for time in (1, 2) if number % twice_each == 0 else (1,):
                group = f"{self.books.settings.postgres_schema}-{number}-{time}"
                await self.die(POSTER, f"{point}:{number + 1}", LEDGER_POSTING_GROUP=group)
                await self._see_posted(kind, point not in BEFORE_THE_COMMIT)
                self.note(point, [kind], time)
        async with self.running(*POSTER):
            await self.books.until_handled(len(self.sent))
            ids = {id_of(value) for kind, value in self.sent.items() if kind != "poison"}
            await self.books.until_answered(ids)

    async def _see_posted(self, kind: str, wanted: bool) -> None:
        """See that a worker died with this record in hand, and not with one beside it."""
        if kind not in SPECIAL[1:]:  # whose ids are those of others, or none
            query = "select count(*) from processed_events where event_id = $1"
            [found] = await self.books.sql(query, id_of(self.sent[kind]))
            assert found["count"] == wanted, kind

    async def expire(self) -> None:
        """Let the worker die when it has sent the void of a hold past its time; what it sent, others post."""
        for time in (1, 2):
            await self.books.send([_hold(seconds) for seconds in EXPIRE_S], [KEY] * len(EXPIRE_S))
            group = f"{self.books.settings.postgres_schema}-expiry-{time}"
            await self.die(POSTER, "voids_sent:1", LEDGER_POSTING_GROUP=group)
            self.note("voids_sent", ["hold.void.v1"], time)

    # Windows, chain, archive

    async def roll(self) -> None:
        """Let a windows worker die with the first entry of each kind, before and after it was written."""
        firsts = await self._first_entries()
        for kind, number in firsts.items():
            for time in (1, 2):
                await self._roll_once("before_checkpoint", number + 1, kind, time)
            await self._roll_once("checkpoint_written", 1, kind, 1)
        async with self.running(*ROLLER):
            pass

    async def _roll_once(self, point: str, count: int, kind: str, time: int) -> None:
        group = f"{self.books.settings.windows_group}-{point}-{kind}-{time}"
        await self.die(
            ROLLER,
            f"{point}:{count}",
            LEDGER_WINDOWS_GROUP=group,
            LEDGER_WINDOWS_CHUNK_RECORDS_MAX="1",
            LEDGER_WINDOWS_CHECKPOINT_MS="1",
        )
        self.note(point, [kind], time)

    async def _first_entries(self) -> dict[str, int]:
        """Say at which place of the topic of entries the first one of each kind stands."""
        seen = [
            orjson.loads(record.value)["data"]["transaction"]
            for record in await self.books.records(self.books.settings.entries_topic)
        ]
        return {kind: seen.index(id_of(self.sent[kind])) for kind in POSTED}

    async def chain(self) -> None:
        """Let a chain worker die when it has written the links of all that was posted."""
        for time in (1, 2):
            group = f"{self.books.settings.chain_group}-{time}"
            await self.die(CHAINER, "links_written:1", LEDGER_CHAIN_GROUP=group)
            self.note("links_written", POSTED, time)
        async with self.running(*CHAINER):
            await self.until(
                "select (select count(*) from transactions) = (select count(*) from chain_links)"
            )

    async def archive(self) -> None:
        """Let the archive die when a segment is stored; another one lists it."""
        url = str(self.directory / "archive")
        command = ("archive", "run", "--once", "--archive", url)
        for time in (1, 2):
            await self.die(command, "segment_written:1")
            self.note("segment_written", KINDS, time)
            await self.books.send([event("account.open.v1", {"account": f"archived-{time}"})], [KEY])
        await self.finish(command)
        await self.finish(("archive", "verify", "--archive", url))

    # Commands

    async def requeue(self) -> None:
        """Let `ledger dlq` die when a letter is sent again."""
        letter = (await self.books.sql('select topic, "partition", "offset" from dead_letters limit 1'))[0]
        place = f"{letter['topic']}/{letter['partition']}/{letter['offset']}"
        for time in (1, 2):
            await self.die(("dlq", "requeue", place), "letter_sent:1")
            self.note("letter_sent", ["poison"], time)
        await self.finish(("dlq", "requeue", place))

    async def replay(self) -> None:
        """Let a rebuild of the books die when it has posted a batch, and go on with it."""
        schema = f"{self.books.settings.postgres_schema}_anew"
        for time, more in ((1, ()), (2, ("--resume",))):
            command = ("replay", "--into", schema, *more)
            await self.die(command, "batch_replayed:1", LEDGER_BATCH_RECORDS_MAX="5000")
            self.note("batch_replayed", POINTS["batch_replayed"].kinds, time)
        await self.finish(("replay", "--into", schema, "--resume"))
        await self.finish(("compare", self.books.settings.postgres_schema, schema))

    # Payments

    async def pay(self) -> None:
        """Let payments workers die at each point, twice if they come there again."""
        async with self.running(*POSTER):
            for point in (name for name, each in POINTS.items() if each.part == "advance-payments"):
                payment = new_event_id()
                await self.books.send([event("payment.request.v1", _payment(), payment)], [KEY])
                await self.until(f"select count(*) from payments where event_id = '{payment}'", 1)
                for time in (1, 2):
                    if not await self._dies_or_ends(f"{point}:1"):
                        break
                    self.note(point, ["payment.request.v1"], time)
                async with self.running(*PAYER):
                    await self.until("select count(*) from payments where due_at is not null", 0)

    async def _dies_or_ends(self, crash: str) -> bool:
        """Run a payments worker until it dies, or all payments are at an end."""
        program = self.start(PAYER, LEDGER_CRASH=crash)
        deadline = monotonic() + WAIT_S
        query = "select count(*) from payments where due_at is not null"
        while program.ended is None:
            assert monotonic() < deadline, program.log
            if not (await self.books.sql(query))[0][0]:
                await program.kill()
                return False
            await asyncio.sleep(0.02)
        assert program.ended == DIED, program.log
        return True

    async def hear(self) -> None:
        """Let the API die when it keeps a webhook, and payments workers when they have heard it."""
        [row] = await self.books.sql(
            "select event_id::text as id, saga ->> 'charge_reference' as named from payments "
            "where state = 'settled' limit 1"
        )
        for time in (1, 2):
            program = self.start(("api",), LEDGER_CRASH="webhook_kept:1", LEDGER_API_PORT="0")
            port = await _port(program)
            assert await self._tell(port, row["id"], row["named"]) is None
            assert await program.exit_code() == DIED, program.log
            self.note("webhook_kept", ["payment.request.v1"], time)
        async with self.running("api") as program:
            assert await self._tell(await _port(program), row["id"], row["named"]) == 200
        for time in (1, 2):
            group = f"{self.books.settings.payments_group}-hearing-{time}"
            await self.die(PAYER, "webhooks_heard:1", LEDGER_PAYMENTS_GROUP=group)
            self.note("webhooks_heard", ["payment.request.v1"], time)

    async def _tell(self, port: int, payment: str, reference: str) -> int | None:
        """Send a webhook; gives the status, None where no answer came."""
        webhook = {
            "id": f"wh-{payment}",
            "key": f"acme:{payment}:charge",
            "payment": payment,
            "tenant": "acme",
            "kind": "charge",
            "amount": AMOUNT,
            "asset": "USD/2",
            "state": "accepted",
            "reference": reference,
        }
        body = orjson.dumps(webhook)
        headers = {
            "content-type": "application/json",
            **sign(SECRET, WEBHOOK, body, now_s=int(clock.time())),
        }
        url = f"http://127.0.0.1:{port}/v1/providers/bank/webhooks"
        async with httpx.AsyncClient(timeout=20.0) as client:
            try:
                return (await client.post(url, content=body, headers=headers)).status_code
            except httpx.TransportError:
                return None

    # The verdict

    async def faults(self) -> list[str]:
        """Count everything anew, by the checker that shares no code with the ledger; gives what is wrong."""
        settings = self.books.settings
        async with self.running(*POSTER), self.running(*PAYER), self.running(*ROLLER):
            # A void that is posted between the checker's look at the books and at the topics would be news to it.
            await self.until("select count(*) from holds where state = 'open' and expires_at is not null", 0)
            topics = Topics(
                settings.payments_topic,
                settings.outcomes_topic,
                settings.entries_topic,
                settings.dead_letters_topic,
            )
            options = Options(
                kafka=str(settings.kafka_bootstrap),
                postgres=str(settings.postgres_dsn),
                schema=settings.postgres_schema,
                topics=topics,
                groups={settings.posting_group: topics.payments, settings.windows_group: topics.entries},
                provider=self._simulator.url,
                provider_name="bank",
                wait_s=WAIT_S,
            )
            report = await check(options)
            violations = await self.books.violations()
        wrong = [f"check {name}: {found}" for name, found in violations.items()]
        told = [] if report.ok else list(report.lines())
        return [*told, *wrong, *await self._kinds()]

    async def _kinds(self) -> list[str]:
        """Say which of the records came to another outcome than they must."""
        told = await self.books.outcomes()
        found = {
            kind: set(told.get(id_of(value), ())) for kind, value in self.sent.items() if kind != "poison"
        }
        wanted = {kind: {"event.posted.v1"} for kind in found} | {"rejected": {"event.rejected.v1"}}
        # Three records have one id: the first is posted, the same again a duplicate, other content refused.
        three = {"event.posted.v1", "event.duplicate.v1", "event.rejected.v1"}
        wanted |= dict.fromkeys(("transfer.post.v1", "duplicate", "reused"), three)
        return [f"{kind}: {found[kind]}" for kind in found if found[kind] != wanted[kind]]


def _hold(seconds: float) -> bytes:
    """Make a hold whose time is over soon."""
    ends = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    place = {"debit": PAYER_ACCOUNT, "credit": "payee", "amount": 7, "asset": "USD/2", "expires_at": ends}
    return event("hold.place.v1", place)


def _payment() -> dict[str, Any]:
    return {"debit": PAYER_ACCOUNT, "credit": "payee", "amount": AMOUNT, "asset": "USD/2", "provider": "bank"}


async def _port(program: Forked) -> int:
    """Wait until the API listens."""
    deadline = monotonic() + WAIT_S
    while True:
        log = program.log if program.base.with_suffix(".log").exists() else ""
        for line in log.splitlines():
            if '"api.started"' in line:
                return int(orjson.loads(line)["port"])
        assert monotonic() < deadline, log
        await asyncio.sleep(0.03)


@asynccontextmanager
async def deaths(
    servers: tuple[str, str], name: str, directory: Path, simulator: Simulator, nursery: Nursery
) -> AsyncIterator[Deaths]:
    """Open a ledger for it: one partition, a record a chunk, a provider for its tenant."""
    directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
    async with Books.open(*servers, name, directory, partitions=1) as books:
        books.environment |= {
            "LEDGER_BATCH_RECORDS_MAX": "1",
            "LEDGER_PAYMENT_RULES": orjson.dumps(RULES).decode(),
            "LEDGER_PAYMENT_LEASE_S": "0.5",
            "LEDGER_PAYMENT_LOOK_MS": "50",
        }
        pool = await open_pool(str(books.settings.postgres_dsn), books.settings, size=1)
        settings = {
            "url": simulator.url,
            "secrets": [SECRET.decode()],
            "hosts": ["127.0.0.1"],
            "plain_http": True,
        }
        try:
            networks = {"networks": ["127.0.0.0/8"], "total_timeout_s": 0.5}
            await providers_in(pool, books.settings).put("acme", "bank", {**settings, **networks})
        finally:
            await pool.close()
        yield Deaths(books, nursery, simulator)
