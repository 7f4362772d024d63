"""`ledger archive` on a real Kafka: written while records come, stopped, gone on with, verified, read back."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.objects.store import open_objects
from ledger.application.archived_topic import ArchivedTopic
from ledger.config import Settings
from ledger.contract.dead_letter import Record
from streams.cli import app
from streams.topics import make_topics
from streams.transport.publisher import BatchPublisher, Outgoing

WAIT_S = 30.0


class Desk:
    """A topic of its own, and an archive of it."""

    def __init__(self, kafka: str, directory: Path) -> None:
        self.kafka = kafka
        self.url = str(directory / "archive")
        self.environment = {
            "LEDGER_KAFKA_BOOTSTRAP": kafka,
            "LEDGER_PAYMENTS_TOPIC": "archive.payments",
            "LEDGER_OUTCOMES_TOPIC": "archive.outcomes",
            "LEDGER_ENTRIES_TOPIC": "archive.entries",
            "LEDGER_DEAD_LETTERS_TOPIC": "archive.letters",
            "LEDGER_WEBHOOKS_TOPIC": "archive.webhooks",
            "LEDGER_WINDOWS_TOPIC": "archive.windows",
            "LEDGER_ARCHIVE_URL": self.url,
            "LEDGER_STATE_DIR": str(directory),
            "LEDGER_PARTITIONS": "3",
        }
        values = {name.removeprefix("LEDGER_").lower(): value for name, value in self.environment.items()}
        self.settings = Settings.model_validate(values)
        self.publisher = BatchPublisher(kafka)

    def run(self, *arguments: str) -> Result:
        return CliRunner(env=self.environment).invoke(app, ["archive", *arguments])

    def process(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "archive", *arguments],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def report(self, *arguments: str) -> dict[str, Any]:
        done = self.once(*arguments)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def once(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "streams.cli", "archive", *arguments, "--json"],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def send(self, count: int, seed: int) -> None:
        chance = Random(seed)
        headers = (("content-type", b"json"), ("none", None))
        values = [chance.choice([None, b"", b"\xff" * 10, b'{"n":1}']) for _ in range(count)]
        await self.publisher.publish(
            [
                Outgoing("archive.payments", chance.choice([None, b"k%d" % n]), value or b"{}", headers)
                for n, value in enumerate(values)
            ]
        )

    async def in_kafka(self) -> list[Record]:
        async with KafkaStream.open(self.kafka, "archive.payments") as stream:
            return [
                each
                for partition, bounds in sorted((await stream.bounds()).items())
                async for run in stream.read(partition, *bounds)
                for each in run
            ]

    async def in_archive(self) -> list[Record]:
        source = ArchivedTopic(open_objects(self.url), "archive.payments")
        return [
            each
            for partition, bounds in sorted((await source.bounds()).items())
            async for run in source.read(partition, *bounds)
            for each in run
        ]


@pytest.fixture(scope="module")
async def desk(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    desk = Desk(kafka, tmp_path_factory.mktemp("archive"))
    await make_topics(desk.settings, kafka)
    await desk.publisher.start()
    yield desk
    await desk.publisher.stop()


def test_archive_that_is_named_nowhere_is_asked_for(desk: Desk) -> None:
    done = CliRunner(env={"LEDGER_ARCHIVE_URL": ""}).invoke(app, ["archive", "list"])
    assert (done.exit_code, "LEDGER_ARCHIVE_URL" in done.stderr) == (2, True)


def test_archive_that_is_not_there_is_told(desk: Desk) -> None:
    done = desk.run("verify", "--archive", "/no/such/directory")
    assert (done.exit_code, "The archive is away or refuses" in done.stderr) == (3, True)


@pytest.mark.parametrize("more", [(), ("--topic", "archive.payments"), ("--json",)])
def test_archive_that_holds_nothing_is_not_called_whole(
    desk: Desk, tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"x")
    done = desk.run("verify", "--archive", str(tmp_path), *more)
    assert (done.exit_code, "is whole" in done.stdout) == (1, False)
    if "--json" in more:
        assert json.loads(done.stdout)["ok"] is False
    else:
        assert f"There is no archive of archive.payments in {tmp_path}." in done.stderr


async def test_topic_is_archived_as_it_came(desk: Desk) -> None:
    await desk.send(3000, seed=1)
    report = desk.report("run", "--once")
    assert (report["written"]["records"], report["written"]["segments"]) == (3000, 3)
    assert await desk.in_archive() == await desk.in_kafka()


async def test_one_that_follows_writes_what_comes_until_it_is_stopped(desk: Desk) -> None:
    process = desk.process("run", "--segment-s", "0.2")
    await desk.send(500, seed=2)
    deadline = monotonic() + WAIT_S
    while len(await desk.in_archive()) < 3500 and process.poll() is None and monotonic() < deadline:
        await desk.send(1, seed=3)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, told
    assert '"event":"archive.segment_written"' in told.replace(" ", "")
    desk.report("run", "--once")
    assert await desk.in_archive() == await desk.in_kafka()


async def test_killed_at_any_time_it_goes_on(desk: Desk) -> None:
    for seed in range(2):
        process = desk.process("run", "--segment-s", "0.1")
        before = len(await desk.in_archive())
        deadline = monotonic() + WAIT_S
        while len(await desk.in_archive()) == before and monotonic() < deadline:
            await desk.send(50, seed)
        process.kill()
        process.communicate()
    desk.report("run", "--once")
    assert await desk.in_archive() == await desk.in_kafka()
    assert desk.report("verify")["ok"]


async def test_times_are_found_as_kafka_finds_them(desk: Desk) -> None:
    records = await desk.in_kafka()
    source = ArchivedTopic(open_objects(desk.url), "archive.payments")
    async with KafkaStream.open(desk.kafka, "archive.payments") as stream:
        for record in (records[0], records[1500], records[-1]):
            time_ms = record.timestamp_ms or 0
            assert await source.offsets_at(time_ms) == await stream.offsets_at(time_ms)
            assert await source.offsets_at(time_ms + 1) == await stream.offsets_at(time_ms + 1)


def test_damage_is_told_with_its_place(desk: Desk, tmp_path: Path) -> None:
    witness = tmp_path / "witness.json"
    witness.write_text(json.dumps(desk.report("list")))
    assert desk.report("verify", "--witness", str(witness))["ok"]
    segment = sorted(Path(desk.url).rglob("*.segment"))[0]
    body = segment.read_bytes()
    segment.write_bytes(body[:500] + bytes([body[500] ^ 1]) + body[501:])
    done = desk.once("verify")
    [fault] = json.loads(done.stdout)["violations"]
    assert (done.returncode, fault["block"], fault["offsets"][0]) == (1, 0, 0)
    assert fault["bytes"][0] <= 500 < fault["bytes"][1]
    segment.write_bytes(body)


def test_topic_that_is_not_archived_is_told(desk: Desk) -> None:
    done = desk.run("verify", "--topic", "archive.none")
    assert (done.exit_code, "There is no archive of archive.none in" in done.stderr) == (1, True)


@pytest.mark.parametrize("text", ["", "{}", '{"partitions":[{"topic":1}]}'])
def test_witness_that_is_none_is_told(desk: Desk, tmp_path: Path, text: str) -> None:
    (tmp_path / "witness").write_text(text)
    done = desk.run("verify", "--witness", str(tmp_path / "witness"))
    assert (done.exit_code, "is not what" in done.stderr) == (2, True)


def test_topic_that_is_none_is_told(desk: Desk) -> None:
    done = desk.once("run", "--once", "--topic", "archive.none")
    assert (done.returncode, "there is no topic archive.none" in done.stderr) == (1, True)
