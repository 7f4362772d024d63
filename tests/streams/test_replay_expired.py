"""A topic that is replayed while its retention deletes records."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from loadtests.transport_logs import delete_before
from loadtests.transport_truth import make_topics
from streams.replay.faults import NotReplayableError
from streams.replay.read import TopicLane


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
