"""A topic that is replayed while its retention deletes records, and an archive that did not get them in time."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from ledger.adapters.objects.store import open_objects
from ledger.contract.dead_letter import Record
from loadtests.transport_logs import delete_before
from loadtests.transport_truth import make_topics
from streams.replay.faults import NotReplayableError
from streams.replay.read import ArchiveLane, TopicLane
from tests.archives import TOPIC, MemoryTopic, archived


async def test_a_lane_never_passes_by_what_expired_before_it_was_read(kafka: str) -> None:
    topic = "replay.expired"
    await make_topics(kafka, NewTopic(topic, 1, 1))
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for number in range(10):
            await producer.send_and_wait(topic, b"%d" % number)
    await delete_before(kafka, topic, 0, 6)
    lane = TopicLane(kafka, topic, 0, 3, 10)
    with pytest.raises(NotReplayableError, match=r"begins at 6 by now, and offsets 3 to 5 expired"):
        assert [page async for page in lane.read(3)] == []
    assert [each.offset async for page in lane.read(6) for each in page] == [6, 7, 8, 9]
    await delete_before(kafka, topic, 0, 10)
    with pytest.raises(NotReplayableError, match="offsets 6 to 9 expired"):
        assert [page async for page in lane.read(6)] == []


async def test_a_lane_of_an_archive_never_passes_by_what_it_lacks(tmp_path: Path) -> None:
    objects, topic = open_objects(str(tmp_path / "archive"), make=True), MemoryTopic()
    for begin in (0, 10):
        topic.add([Record(TOPIC, 0, offset, None, b"{}", (), offset) for offset in range(begin, begin + 10)])
        if begin:
            topic.expire(0, 14)
        await archived(topic, objects)
    lane = ArchiveLane(str(tmp_path / "archive"), TOPIC, 0, 3, 20)
    with pytest.raises(
        NotReplayableError, match="lacks offsets 10 to 13, which expired before they were archived"
    ):
        assert [page async for page in lane.read(3)] == []
    assert [each.offset async for page in lane.read(14) for each in page] == [*range(14, 20)]
