"""History replayed on real servers: rebuilt with the same digest, found unchanged, gone on with, differences named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from ledger.adapters.objects.store import open_objects
from ledger.adapters.postgres.replays import PostgresReplays
from ledger.application.compare_books import Comparison, View
from ledger.application.replaying import Replay
from ledger.domain.digest import BooksDigest
from ledger.observability.signals import Signals
from loadtests.transport_logs import delete_before
from loadtests.transport_truth import make_topics
from streams.archiving import archiving
from streams.replay.faults import NotReplayableError
from streams.replay.plan import Filters
from streams.replay.run import BelowHorizonError
from streams.replay.session import Session
from streams.replay.side_by_side import compare_schemas, digest_schema
from streams.replay.stages import RealBooks, make_schema, of_schema
from streams.replay.wish import Report, Source, Wish
from streams.verifying import verify_books
from tests.builders import body, encoded, event_id
from tests.end_to_end.books import Books, id_of, transfer
from tests.end_to_end.command import Ledger
from tests.end_to_end.replayed_history import EVENTS, histories, sent_once

DECIDED = """(
    select p.topic, p."partition", p."offset", coalesce(p.posted_at, t.posted_at) as at
    from processed_events p left join transactions t using (event_id, tenant_id)
) decided"""


@dataclass
class Stage:
    """Books with a history that workers have posted."""

    books: Books
    ledger: Ledger

    async def replay(self, **wish: Any) -> Report:
        return await Session(self.books.settings, Wish(by="tests", why="a test", **wish)).run()

    async def digest(self, schema: str | None = None, view: View = View.BALANCES) -> BooksDigest:
        settings = self.books.settings
        return await digest_schema(settings, schema or settings.postgres_schema, view)

    async def positions(self, schema: str = "replayed") -> dict[int, int]:
        rows = await self.books.sql(f'select "partition", next_offset from {schema}.stream_offsets')
        return {row["partition"]: row["next_offset"] for row in rows}

    async def compare(self, schema: str, view: View = View.BALANCES) -> Comparison:
        return await compare_schemas(self.books.settings, self.books.settings.postgres_schema, schema, view)


@pytest.fixture(scope="module")
async def stage(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    directory = tmp_path_factory.mktemp("replay")
    async with Books.open(kafka, postgres_dsn, "replayed", directory) as books:
        events = [each for pair in zip(*histories(), strict=True) for each in pair]
        events[300:300] = [b"no event", encoded(body("nothing.known.v1"))]
        await books.send(events, [f"{number % 11}".encode() for number in range(len(events))])
        async with (
            books.worker(LEDGER_BATCH_RECORDS_MAX="20") as one,
            books.worker(LEDGER_BATCH_RECORDS_MAX="30") as other,
        ):
            await books.until_handled(len(events))
            # In peace, so that the group has passed by all of it.
            assert (await one.end(), await other.end()) == (0, 0)
        changes = {name: text for name, text in books.environment.items() if name != "LEDGER_STATE_DIR"}
        yield Stage(books, Ledger(directory, changes))


async def test_the_history_has_everything_in_it(stage: Stage) -> None:
    kinds = {row["kind"] for row in await stage.books.sql("select distinct kind from processed_events")}
    partitions = await stage.books.sql("select count(*) as n from stream_offsets where next_offset > 0")
    assert kinds == {"posted", "rejected", "duplicate"}
    assert partitions[0]["n"] == stage.books.settings.partitions


async def test_a_rebuild_gives_the_same_digest(stage: Stage) -> None:
    report = await stage.replay(target="into", name="rebuilt")
    assert report.proof is not None, report
    assert report.told.different == []
    assert report.differences is None
    assert report.proof.same
    assert await stage.digest("rebuilt", View.ENTRIES) == await stage.digest(view=View.ENTRIES)
    assert (await stage.compare("rebuilt", View.ENTRIES)).same


async def test_a_rebuild_stands_up_to_every_check(stage: Stage) -> None:
    verdict, _ = await verify_books(of_schema(stage.books.settings, "rebuilt"))
    assert [
        check for check in verdict.checks if not check.ok and check.name not in ("sagas", "windows")
    ] == []


async def test_a_rebuild_of_books_with_the_amounts_of_two_events_exchanged_is_not_called_the_same(
    stage: Stage,
) -> None:
    # Books that say 20 and 10 where the topic has 10 and 20: every sum is as it was.
    [pair] = await stage.books.sql("""
        select a.tenant_id, a.balance_id, a.version as first, b.version as second, a.amount as left, b.amount as right
        from entries a join entries b using (tenant_id, balance_id)
        where a.version < b.version and a.amount <> b.amount and a.amount * b.amount > 0 limit 1""")
    place = pair["tenant_id"], pair["balance_id"], pair["first"], pair["second"]

    async def write(left: int, right: int) -> None:
        await stage.books.sql(
            "update entries set amount = case version when $3 then $5::bigint else $6 end "
            "where tenant_id = $1 and balance_id = $2 and version in ($3, $4)",
            *place,
            left,
            right,
        )

    await stage.books.sql("alter table entries disable trigger user")
    await write(pair["right"], pair["left"])
    try:
        report = await stage.replay(target="into", name="exchanged")
    finally:
        await write(pair["left"], pair["right"])
        await stage.books.sql("alter table entries enable trigger user")
    assert report.proof is not None
    assert not report.proof.same
    assert not report.ok
    assert report.differences is not None
    assert [each["what"] for each in report.differences["differences"]] == [["entries"]]


async def test_a_rebuild_from_the_archive_gives_the_same_without_books_or_topic(stage: Stage) -> None:
    settings, folder = stage.books.settings, str(stage.ledger.state_dir / "archive")
    topics = [settings.payments_topic, settings.outcomes_topic]
    async with archiving(settings, open_objects(folder, make=True), topics, Signals()) as archives:
        for each in archives:
            await each.catch_up(close=True)
    source = {"source": "archive", "archive": folder}
    report = await stage.replay(target="into", name="archived", **source)
    assert report.proof is not None
    assert report.proof.same
    alone = await stage.replay(target="into", name="alone", outcomes="archive", **source)
    assert alone.told.different == []
    assert "without_precedent" not in alone.told.counts
    assert (await stage.compare("alone", View.ENTRIES)).same


async def test_a_replay_is_gone_on_with_though_what_it_has_done_with_has_expired(stage: Stage) -> None:
    kafka, topic = str(stage.books.settings.kafka_bootstrap), "replayed.payments.expired"
    await make_topics(kafka, NewTopic(topic, 1, 1))
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for number in range(10):
            await producer.send_and_wait(topic, transfer("external:bank", "ann", 1 + number))
    await delete_before(kafka, topic, 0, 6)
    settings = of_schema(stage.books.settings, "expired")
    await make_schema(settings, str(settings.postgres_dsn))
    source = msgspec.to_builtins(Source("topic", {0: (0, 10)}, topic, outcomes="topic"), str_keys=True)
    async with RealBooks.open(settings, str(settings.postgres_dsn)) as books:
        await books.records.begin(Replay(event_id("e"), "into", source, "tests", "a test", datetime.now(UTC)))
        await books.store.begin(topic, {0: 6})
    with pytest.raises(NotReplayableError, match="offsets 0 to 5 expired"):
        await stage.replay(target="into", name="expired", resume=True)
    state = orjson.dumps({"0": {"next": 6, "at": datetime.now(UTC)}}).decode()
    await stage.books.sql("update expired.replays set state = $1::text::json", state)
    report = await stage.replay(target="into", name="expired", resume=True)
    assert report.told.counts == {"posted": 4, "without_precedent": 4}


async def test_nothing_changes_in_live_books_that_have_it_all(stage: Stage) -> None:
    before = await stage.digest()
    published = await stage.books.records(stage.books.settings.outcomes_topic)
    report = await stage.replay(target="live")
    assert report.verdict == "nothing changed"
    assert report.told.records == EVENTS + 2
    assert await stage.digest() == before
    assert len(await stage.books.records(stage.books.settings.outcomes_topic)) == len(published)


async def test_who_replayed_the_live_books_and_why_is_kept(stage: Stage) -> None:
    await stage.replay(target="live", filters=Filters(tenants=["acme"]))
    rows = await stage.books.sql(
        "select done_by, why, ended_at, source from replays order by started_at desc"
    )
    source = orjson.loads(rows[0]["source"])
    assert (rows[0]["done_by"], rows[0]["why"], rows[0]["ended_at"] is None) == ("tests", "a test", False)
    assert source["filters"]["tenants"] == ["acme"]


@pytest.mark.parametrize("point", ["before_commit:4", "committed:3"])
async def test_a_replay_that_was_killed_and_gone_on_with_gives_the_same(stage: Stage, point: str) -> None:
    name = f"killed_{point[:6]}"
    small = {"LEDGER_BATCH_RECORDS_MAX": "100"}
    dying = Ledger(stage.ledger.state_dir, {**stage.ledger.changes, **small, "LEDGER_CRASH": point})
    died = await asyncio.to_thread(dying.run, "replay", "--into", name)
    assert died.returncode == 137, died.stderr
    again = await asyncio.to_thread(stage.ledger.run, "replay", "--into", name)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    report = await stage.replay(target="into", name=name, resume=True)
    assert report.proof is not None
    assert report.proof.same
    assert (await stage.compare(name, View.ENTRIES)).same


async def test_no_replay_goes_on_in_a_schema_that_none_has_begun(stage: Stage) -> None:
    await stage.books.sql("create schema somebodys")
    with pytest.raises(NotReplayableError, match="No replay into somebodys was begun"):
        await stage.replay(target="into", name="somebodys", resume=True)
    made = await stage.books.sql(
        "select relname from pg_class where relnamespace = 'somebodys'::regnamespace"
    )
    assert made == []
    other = of_schema(stage.books.settings, "others_books")
    await make_schema(other, str(other.postgres_dsn))
    with pytest.raises(NotReplayableError, match="No replay into others_books was begun"):
        await stage.replay(target="into", name="others_books", resume=True)
    assert await stage.positions("others_books") == {}


async def test_what_the_books_lost_is_posted_again_as_it_was(stage: Stage) -> None:
    ends = await stage.positions()
    # What a standby had that was a while behind.
    [cut] = await stage.books.sql(
        f"select percentile_disc(0.8) within group (order by at) as at from {DECIDED}"
    )
    kept = await stage.books.sql(
        f'select "partition", max("offset") + 1 as end from {DECIDED} '
        "where at <= $1 and topic is not null group by 1",
        cut["at"],
    )
    there = {row["partition"]: (0, row["end"]) for row in kept}
    await stage.replay(target="into", name="failed_over", offsets=there)
    settings = of_schema(stage.books.settings, "failed_over")
    report = await Session(settings, Wish(target="live", since_books=True, by="tests", why="a test")).run()
    assert report.source.lanes == {at: (there[at][1], end) for at, end in ends.items()}
    assert report.told.different == []
    assert "without_precedent" not in report.told.counts
    assert (await stage.compare("failed_over", View.ENTRIES)).same
    assert await stage.positions("failed_over") == ends


async def test_what_was_planted_in_other_books_is_named(stage: Stage) -> None:
    [entry] = await stage.books.sql("""
        select t.code as tenant, a.code as account, e.* from rebuilt.entries e
        join rebuilt.balances b using (tenant_id, balance_id) join rebuilt.accounts a using (tenant_id, account_id)
        join rebuilt.tenants t using (tenant_id) where e.version = 2 and b.version > 3 limit 1""")
    await stage.books.sql("alter table rebuilt.entries disable trigger user")
    await stage.books.sql(
        "update rebuilt.entries set amount = amount + 7 where tenant_id = $1 and balance_id = $2 and version = 2",
        entry["tenant_id"],
        entry["balance_id"],
    )
    found = await stage.compare("rebuilt", View.ENTRIES)
    [difference] = found.differences
    assert (difference.tenant, difference.account, difference.asset) == (*tuple(entry)[:2], entry["asset"])
    assert difference.entry == 2
    assert difference.right_entry is not None
    assert difference.right_entry.amount == entry["amount"] + 7


async def test_an_event_that_a_rebuild_lacks_is_named(stage: Stage) -> None:
    rows = await stage.books.sql(
        'select event_id::text as id, "partition", "offset" from processed_events p '
        "join transactions t using (event_id, tenant_id) where topic is not null "
        'order by coalesce(p.posted_at, t.posted_at), "offset"'
    )
    # Of what was sent twice the other copy would be posted.
    row = next(row for row in rows if row["id"] in sent_once())
    ends = {at: (0, end) for at, end in (await stage.positions()).items()}
    without_first = {row["partition"]: (row["offset"] + 1, ends[row["partition"]][1])}
    await stage.replay(target="into", name="lacking", offsets=ends | without_first)
    found = await stage.compare("lacking")
    assert row["id"] in {each.left_entry.event_id for each in found.differences if each.left_entry}


async def test_a_dry_run_says_what_a_live_one_then_does(stage: Stage, tmp_path: Path) -> None:
    lines = [
        transfer("external:bank", "dry", 250),
        transfer("external:bank", "dry", 100),
        transfer("dry", "x", 999),
    ]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n")
    before = await stage.digest()
    dry = await stage.replay(target="dry-run", source="file", file=str(file))
    assert await stage.digest() == before
    assert dry.verdict == "2 events would be posted, 1 would be refused"
    assert dry.told.reasons == {"insufficient_funds": 1}
    live = await stage.replay(target="live", source="file", file=str(file))
    assert live.told.counts == {"sent": 3}
    async with stage.books.worker():
        await stage.books.until_handled(EVENTS + 2 + len(lines))
        answered = await stage.books.until_answered({id_of(line) for line in lines})
    assert [next(iter(answered[id_of(line)])) for line in lines] == [
        "event.posted.v1",
        "event.posted.v1",
        "event.rejected.v1",
    ]
    after = {(each["after"]["account"]): each["after"]["posted_credits"] for each in dry.changed}
    assert after["dry"] == 350
    rows = await stage.books.sql(
        "select posted_credits, posted_debits from balances join accounts using (tenant_id, account_id) "
        "where code = 'dry'"
    )
    assert tuple(rows[0]) == (350, 0)
    again = await stage.replay(target="live", source="file", file=str(file))
    assert again.verdict == "nothing changed"


async def test_live_books_take_nothing_that_they_may_have_forgotten(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl"
    old = event_id("old", datetime.now(UTC) - timedelta(days=91))
    file.write_bytes(transfer("external:bank", "ann", 1, old))
    with pytest.raises(BelowHorizonError, match="older than the 90 days"):
        await stage.replay(target="live", source="file", file=str(file))
    rows = await stage.books.sql("select ended_at from replays order by started_at desc limit 1")
    assert rows[0]["ended_at"] is not None


async def test_the_commands_tell_digests_and_differences(stage: Stage, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    told = await asyncio.to_thread(stage.ledger.report, "digest", "--from", "entries")
    assert told == (await stage.digest(view=View.ENTRIES)).as_dict()
    done = await asyncio.to_thread(stage.ledger.run, "compare", "replayed", "lacking", "--report", str(page))
    assert done.returncode == 1
    assert "first at entry 1" in done.stdout
    assert "accounts differ" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("digest", "nosuch"), "There is no schema nosuch."),
        (("digest", "bad name"), "There is no schema bad name."),
        (("digest", "public"), "There are no books in the schema public."),
        (("compare", "replayed", "nosuch"), "There is no schema nosuch."),
    ],
)
async def test_what_are_no_books_is_told_by_name(stage: Stage, arguments: tuple[str, ...], said: str) -> None:
    done = await asyncio.to_thread(stage.ledger.run, *arguments)
    assert (done.returncode, done.stderr) == (2, f"{said}\n")


async def test_nobody_but_the_owner_of_the_books_says_that_they_are_replayed(stage: Stage) -> None:
    connection = await asyncpg.connect(
        stage.books.settings.postgres_dsn,
        server_settings={"search_path": "replayed", "role": "ledger_worker"},
    )
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("delete from replays")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await PostgresReplays(_One(connection)).begin(  # type: ignore[arg-type]
                Replay(event_id("r"), "live", {}, "a worker", "no reason", datetime.now(UTC))
            )
    finally:
        await connection.close()


class _One:
    """A pool of one connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[asyncpg.Connection]:
        yield self._connection
