"""Logs as Kafka really keeps them: with holes, with an empty partition, cut at either end."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiokafka.admin import NewTopic
from aiokafka.producer.sender import Sender

from loadtests.transport_bench import measure
from loadtests.transport_fleet import Fleet
from loadtests.transport_load import settled
from loadtests.transport_logs import (
    commit_as,
    delete_before,
    make_compacted,
    publish_one_by_one,
    publish_transactions,
)
from loadtests.transport_truth import committed_offsets, make_topics, readable_offsets
from streams.transport import BatchPublisher, Outgoing, RecordTooLargeError

MakeFleet = Callable[[], Fleet]
Answer = TypeVar("Answer")


@pytest.fixture(scope="module")
async def compacted(kafka: str) -> str:
    """A topic that is being compacted while the other tests run."""
    topic = f"compacted-{os.getpid()}"
    await make_compacted(kafka, topic, count=400, keys=7)
    return topic


@pytest.fixture
async def make_fleet(kafka: str, tmp_path: Path) -> AsyncIterator[MakeFleet]:
    """Makes one fleet, whose workers are killed at the end of the test."""
    group = f"group-{os.getpid()}-{time.time_ns()}"
    fleet = Fleet(tmp_path, kafka, group, f"{group}-records", handler_ms=1.0)
    yield lambda: fleet
    fleet.kill()


async def until(ask: Callable[[], Awaitable[Answer]], good: Callable[[Answer], bool]) -> None:
    """Poll Kafka until it gives a good answer."""
    async with asyncio.timeout(60.0):
        while not good(await ask()):  # noqa: ASYNC110  # another process has no event
            await asyncio.sleep(0.5)


@pytest.mark.slow
async def test_transaction_markers_are_crossed_and_aborted_records_never_seen(
    make_fleet: MakeFleet, compacted: str
) -> None:
    fleet = make_fleet()
    await make_topics(fleet.bootstrap, NewTopic(fleet.topic, 3, 1))
    await asyncio.gather(
        publish_transactions(fleet.bootstrap, fleet.topic, 0, 200, aborted_every=5),
        publish_one_by_one(fleet.bootstrap, fleet.topic, 1, 200, keys=200),
    )
    fleet.start()
    verdict = await settled(fleet, 3)

    assert verdict.sound, verdict
    assert (verdict.records, verdict.duplicates) == (360, 0)
    assert len(list_chunks(fleet)) <= 6
    committed = await committed_offsets(fleet.bootstrap, fleet.group, fleet.topic, 3)
    # The last marker lies after the last record; partition 2 is empty. Both count as done to their end.
    assert committed == {0: 400, 1: 200, 2: 0}


def list_chunks(fleet: Fleet) -> list[str]:
    """The notes of handled chunks: a topic full of markers must not fall into tiny ones."""
    return [line for line in (fleet.directory / "w1.notes").read_text().splitlines() if "handled" in line]


@pytest.mark.slow
async def test_transactions_go_through_live_one_by_one(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    await make_topics(fleet.bootstrap, NewTopic(fleet.topic, 1, 1))
    fleet.start()
    await publish_transactions(fleet.bootstrap, fleet.topic, 0, 100, aborted_every=3)
    verdict = await settled(fleet, 1)

    assert verdict.sound, verdict
    assert (verdict.records, verdict.duplicates) == (67, 0)


@pytest.mark.slow
async def test_what_expired_before_it_was_read_is_skipped_and_said(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    await make_topics(fleet.bootstrap, NewTopic(fleet.topic, 1, 1))
    await publish_one_by_one(fleet.bootstrap, fleet.topic, 0, 100, keys=100)
    await commit_as(fleet.bootstrap, fleet.group, fleet.topic, {0: 10})
    await delete_before(fleet.bootstrap, fleet.topic, 0, 60)
    fleet.start()
    verdict = await settled(fleet, 1)

    assert verdict.sound, verdict
    assert (verdict.records, verdict.signals["records.expired"]) == (40, 1)


@pytest.mark.slow
async def test_a_log_that_ends_before_the_frontier_is_read_anew(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    await make_topics(fleet.bootstrap, NewTopic(fleet.topic, 1, 1))
    await publish_one_by_one(fleet.bootstrap, fleet.topic, 0, 50, keys=50)
    await commit_as(fleet.bootstrap, fleet.group, fleet.topic, {0: 1000})
    fleet.start()
    await until(
        lambda: committed_offsets(fleet.bootstrap, fleet.group, fleet.topic, 1), lambda now: now == {0: 50}
    )
    verdict = await settled(fleet, 1)

    assert (verdict.lost, verdict.signals["log.went_back"]) == ({}, 1)


@pytest.mark.slow
async def test_a_single_event_does_not_wait(kafka: str, tmp_path: Path) -> None:
    measured = await measure(kafka, tmp_path, records=20_000)

    assert measured.latency_ms_median < 50


async def test_the_publisher_writes_everything_where_its_keys_belong(kafka: str) -> None:
    topic = f"published-{time.time_ns()}"
    await make_topics(kafka, NewTopic(topic, 3, 1))
    publisher = BatchPublisher(kafka)
    await publisher.start()
    await publisher.publish([Outgoing(topic, b"%d" % (number % 50), b"v" * 300) for number in range(5000)])
    with pytest.raises(RecordTooLargeError):
        await publisher.publish([Outgoing(topic, b"key", bytes(os.urandom(3_000_000)))])
    await publisher.stop()

    assert sum(map(len, (await readable_offsets(kafka, topic, 3)).values())) == 5000


async def test_a_few_records_go_in_one_request_whatever_their_partitions(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"few-{time.time_ns()}"
    await make_topics(kafka, NewTopic(topic, 4, 1))
    requests: list[set[int]] = []
    genuine = Sender._send_produce_req

    async def counted(sender: Any, node: int, batches: dict[Any, Any]) -> None:
        requests.append({place.partition for place in batches})
        await genuine(sender, node, batches)

    monkeypatch.setattr(Sender, "_send_produce_req", counted)
    publisher = BatchPublisher(kafka)
    await publisher.start()
    records = [Outgoing(topic, None, b"%d" % number) for number in range(100)]
    await publisher.publish(records)  # the leader of a new partition may not know it yet, and is asked again
    requests.clear()
    await publisher.publish(records)
    await publisher.stop()

    assert requests == [{0, 1, 2, 3}]


@pytest.mark.slow
async def test_holes_left_by_compaction_are_crossed(make_fleet: MakeFleet, compacted: str) -> None:
    fleet = make_fleet()
    fleet.topic = compacted
    await until(lambda: readable_offsets(fleet.bootstrap, compacted, 1), lambda now: len(now[0]) < 200)
    fleet.start()
    verdict = await settled(fleet, 1)

    assert verdict.sound, verdict
    assert verdict.duplicates == 0
    assert verdict.signals["hole.crossed"] > 0
