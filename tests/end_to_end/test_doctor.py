"""`ledger doctor` on real servers: what is broken is named, and what is away hides nothing else."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ledger.adapters.system import new_event_id
from ledger.bootstrap.providers import provider_directory
from ledger.config import Settings
from streams.doctor.examine import examine
from streams.doctor.finding import Finding, Level
from streams.prepare import prepare
from tests.end_to_end.books import Books, transfer
from tests.end_to_end.command import Ledger

NOWHERE = "127.0.0.1:9"


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    async with Books.open(kafka, postgres_dsn, "doctor", tmp_path_factory.mktemp("doctor")) as books:
        yield books


async def found(settings: Settings, **changes: object) -> Mapping[str, Finding]:
    """The findings by name, with some settings changed."""
    findings = await examine(settings.model_copy(update=changes), {})
    return {finding.name: finding for finding in findings}


async def commit(books: Books, offsets: Mapping[int, int]) -> None:
    """Commit positions as the group of the posting workers does."""
    settings = books.settings
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, group_id=settings.posting_group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        places = {TopicPartition(settings.payments_topic, each): offset for each, offset in offsets.items()}
        consumer.assign(list(places))
        await consumer.commit(places)
    finally:
        await consumer.stop()


def test_good_setup_is_fine(books: Books, tmp_path: Path) -> None:
    done = Ledger(tmp_path, books.environment).run("doctor", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (0, True), [
        each for each in report["findings"] if not each["ok"]
    ]
    assert {each["name"] for each in report["findings"]} >= {
        *("python", "packages", "settings", "variables", "state_directory", "disk", "stack"),
        *("kafka", "topics", "partitions", "replication"),
        *("postgres", "durability", "clock", "books", "role", "event_partitions", "dead_letters"),
        *("positions", "log", "lag", "payments"),
    }
    assert all(sorted(each) == ["detail", "level", "name", "ok", "remedy"] for each in report["findings"])


def test_servers_away_hide_no_other_finding(tmp_path: Path) -> None:
    away = {"LEDGER_KAFKA_BOOTSTRAP": NOWHERE, "LEDGER_POSTGRES_DSN": f"postgresql://ann:secret@{NOWHERE}/x"}
    done = Ledger(tmp_path, {**away, "LEDGER_WORKRES": "3"}).run("doctor")
    assert done.returncode == 3
    assert "LEDGER_WORKRES" in done.stdout
    assert "secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_settings_are_listed_without_servers(tmp_path: Path) -> None:
    changes = {"LEDGER_POSTGRES_DSN": "postgresql://ann:secret@db/books", "LEDGER_WORKERS": "3"}
    done = Ledger(tmp_path, changes).run("doctor", "--settings", "--json")
    listed = {each["name"]: each for each in json.loads(done.stdout)}
    assert (done.returncode, listed.keys() >= {"LEDGER_KAFKA_BOOTSTRAP"}) == (0, True)
    assert listed["LEDGER_POSTGRES_DSN"]["value"] == "postgresql://ann:***@db/books"
    assert listed["LEDGER_WORKERS"] == {
        "name": "LEDGER_WORKERS",
        "value": 3,
        "default": 1,
        "source": "environment",
        "description": Settings.model_fields["workers"].description,
    }


def test_wrong_setting_is_told_by_any_command(tmp_path: Path) -> None:
    done = Ledger(tmp_path, {"LEDGER_WORKERS": "many"}).run("status")
    assert done.returncode == 2
    assert done.stderr.startswith("LEDGER_WORKERS is 'many': ")


async def test_one_server_away_leaves_the_other_looked_at(books: Books) -> None:
    without_kafka = await found(books.settings, kafka_bootstrap=NOWHERE)
    assert (without_kafka["kafka"].level, without_kafka["books"].level) == (Level.AWAY, Level.FINE)
    without_postgres = await found(books.settings, postgres_dsn=f"postgresql://{NOWHERE}/x")
    assert (without_postgres["postgres"].level, without_postgres["topics"].level) == (Level.AWAY, Level.FINE)


async def test_what_is_not_made_yet_is_missing(books: Books) -> None:
    findings = await found(books.settings, postgres_schema="not_there", payments_topic="not-there")
    assert "not-there" in findings["topics"].detail
    assert {findings[name].remedy for name in ("topics", "books")} == {"`ledger migrate` makes them."}
    assert "positions" not in findings


async def test_more_workers_than_partitions_are_wrong(books: Books) -> None:
    assert (await found(books.settings, workers=64))["partitions"].level is Level.WRONG


@pytest.mark.parametrize(
    ("version", "remedy"), [("9999", "newer version of this program"), ("0001", "`ledger migrate` brings")]
)
async def test_books_of_another_version_are_wrong(books: Books, version: str, remedy: str) -> None:
    [row] = await books.sql("select version_num from alembic_version")
    await books.sql("update alembic_version set version_num = $1", version)
    finding = (await found(books.settings))["books"]
    await books.sql("update alembic_version set version_num = $1", row["version_num"])
    assert (finding.level, remedy in finding.remedy) == (Level.WRONG, True)


async def test_chain_that_nobody_keeps_up_is_told(books: Books) -> None:
    assert (await found(books.settings))["chain"].level is Level.INFORMATION
    await books.sql("insert into chain_progress (complete_before) values (now() - interval '1 day')")
    finding = (await found(books.settings))["chain"]
    await books.sql("delete from chain_progress")
    assert (finding.level, "ledger worker chain-transactions" in finding.remedy) == (Level.WARNING, True)


async def test_archive_is_looked_at_where_one_is_set(books: Books, tmp_path: Path) -> None:
    assert "archive" not in await found(books.settings)
    away = (await found(books.settings, archive_url="/no/such/directory"))["archive"]
    empty = (await found(books.settings, archive_url=str(tmp_path)))["archive"]
    assert (away.level, empty.level) == (Level.AWAY, Level.INFORMATION)


async def test_next_month_without_a_partition_is_wrong(books: Books) -> None:
    next_month = (datetime.now(UTC).replace(day=1) + timedelta(days=32)).strftime("%Y_%m")
    await books.sql(f"drop table processed_events_{next_month}")
    finding = (await found(books.settings))["event_partitions"]
    assert (finding.level, next_month in finding.detail) == (Level.WRONG, True)
    await prepare(books.settings)
    assert (await found(books.settings))["event_partitions"].ok


async def test_commits_that_do_not_wait_for_the_disk_are_wrong(books: Books) -> None:
    loose = f"{books.settings.postgres_dsn}?options=-c%20synchronous_commit%3Doff"
    finding = (await found(books.settings, postgres_dsn=loose))["durability"]
    assert (finding.level, "synchronous_commit off" in finding.detail) == (Level.WRONG, True)


async def test_user_who_cannot_become_a_worker_is_wrong(books: Books) -> None:
    schema, dsn = books.settings.postgres_schema, str(books.settings.postgres_dsn)
    stranger = f"{schema}_stranger"
    await books.sql(f"create role {stranger} login password 'secret'")
    as_stranger = f"postgresql://{stranger}:secret@{dsn.rpartition('@')[2]}"
    shut_out = await found(books.settings, postgres_dsn=as_stranger)
    await books.sql(f"grant usage on schema {schema} to {stranger}")
    await books.sql(f"grant select on all tables in schema {schema} to {stranger}")
    let_in = await found(books.settings, postgres_dsn=as_stranger)
    assert (shut_out["books"].level if "books" in shut_out else shut_out["postgres"].level) is Level.WRONG
    assert (let_in["role"].level, "grant ledger_worker to" in let_in["role"].remedy) == (Level.WRONG, True)


async def test_books_older_than_the_group_stop_everything(books: Books) -> None:
    """Three records in one partition, of which the group says that three are done, and the books one."""
    values = [transfer("external:bank", "ann", 1, new_event_id()) for _ in range(3)]
    await books.send(values, keys=[b"one"] * 3)
    partition = (await books.records(books.settings.payments_topic))[0].partition
    await books.sql(
        "insert into stream_offsets (topic, partition, next_offset) values ($1, $2, 1) "
        "on conflict (topic, partition) do update set next_offset = 1",
        books.settings.payments_topic,
        partition,
    )
    waiting = await found(books.settings)
    assert (waiting["positions"].level, waiting["lag"].detail[:1]) == (Level.FINE, "3")

    await commit(books, {partition: 3})
    behind = await found(books.settings)
    assert (behind["positions"].level, behind["lag"].level) == (Level.WRONG, Level.FINE)
    assert f"partition {partition}: the books stand at 1, the group at 3" in behind["positions"].detail
    assert "`ledger replay --live --since-books --why TEXT`" in behind["positions"].remedy


async def test_books_beyond_the_log_are_wrong(books: Books) -> None:
    await books.sql("update stream_offsets set next_offset = 1000")
    finding = (await found(books.settings))["log"]
    assert (finding.level, "the log ends at 3" in finding.detail) == (Level.WRONG, True)


async def test_secrets_that_do_not_open_are_told(books: Books) -> None:
    async with provider_directory(books.settings, str(books.settings.postgres_dsn)) as providers:
        await providers.put("acme", "bank", {"url": "https://pay.example", "secrets": ["a" * 16]})
    assert (await found(books.settings))["providers"].ok
    other = base64.urlsafe_b64encode(b"another key of 32 bytes in all..").decode()
    told = (await found(books.settings, sealing_keys=other))["providers"]
    assert (told.level, "acme/bank" in told.detail) == (Level.WRONG, True)
