"""A topic read for an audit: on from where it is, and not for ever."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from ledger.adapters.kafka.records import FetchedRecord
from ledger.adapters.kafka.stream import KafkaStream, RecordsExpiredError, places_of

PLACE = TopicPartition("payments", 0)


def record(offset: int) -> FetchedRecord:
    return FetchedRecord("payments", 0, offset, 0, 0, None, b"x", None, 0, 1, ())


class Script:
    """A consumer that hands over what it was given, fetch by fetch: records, and the position after them."""

    def __init__(self, *fetches: tuple[Sequence[int], int]) -> None:
        self._fetches = list(fetches)
        self._position = 0
        self.low = 0

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(places, self.low)

    def assign(self, places: Sequence[TopicPartition]) -> None:
        pass

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._position = offset

    async def position(self, place: TopicPartition) -> int:
        return self._position

    async def getmany(self, *places: TopicPartition, **limits: int) -> Mapping[TopicPartition, Sequence[Any]]:
        if not self._fetches:
            await asyncio.sleep(0.01)
            return {}
        offsets, self._position = self._fetches.pop(0)
        return {PLACE: [record(offset) for offset in offsets]} if offsets else {}


async def offsets(consumer: Script, end: int, *, whole: bool = False) -> list[int]:
    stream = KafkaStream(consumer, "payments", stalled_s=0.05, whole=whole)
    return [record.offset async for run in stream.read(0, 0, end) for record in run]


async def test_topic_is_read_up_to_its_end_and_no_further() -> None:
    assert await offsets(Script(([0, 1], 2), ([2, 3], 4)), 3) == [0, 1, 2]


async def test_markers_at_the_end_are_passed() -> None:
    assert await offsets(Script(([0], 1), ([], 1), ([], 3)), 3) == [0]


async def test_kafka_that_went_away_is_given_up() -> None:
    with pytest.raises(KafkaError, match="payments/0 gave nothing after offset 1"):
        await offsets(Script(([0], 1)), 3)


EXPIRED = [
    pytest.param([([0], 1), ([3], 4)], 3, "offsets 1 to 2 expired", id="in the middle"),
    pytest.param([([2, 3], 4)], 2, "offsets 0 to 1 expired", id="at the beginning"),
    pytest.param([([0], 1), ([], 9)], 9, "offsets 1 to 8 expired", id="all that was left"),
]


@pytest.mark.parametrize(("fetches", "low", "said"), EXPIRED)
async def test_what_expired_before_it_was_read_is_told_to_who_wants_the_whole(
    fetches: list[tuple[Sequence[int], int]], low: int, said: str
) -> None:
    consumer = Script(*fetches)
    consumer.low = low
    with pytest.raises(RecordsExpiredError, match=f"the log begins at {low} by now, and {said}"):
        await offsets(consumer, 4, whole=True)


async def test_markers_are_no_hole_and_neither_is_what_expires_once_it_was_read() -> None:
    consumer = Script(([0, 1], 2), ([3], 4))
    assert await offsets(consumer, 4, whole=True) == [0, 1, 3]
    consumer = Script(([0, 1], 2), ([2, 3], 4))
    consumer.low = 4
    assert await offsets(consumer, 4, whole=True) == [0, 1, 2, 3]


class Broker:
    """A consumer and its client, of a broker that says no until it is of its cluster."""

    def __init__(self, *answers: bool) -> None:
        self._client = self
        self._answers = list(answers)
        self._told = False

    async def force_metadata_update(self) -> bool:
        self._told = self._answers.pop(0) if self._answers else False
        return self._told

    def add_topic(self, topic: str) -> None:
        pass

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {1, 0} if self._told and topic == "payments" else None


async def test_topics_are_asked_for_until_a_broker_tells() -> None:
    assert await places_of(Broker(False, False, True), "payments") == [PLACE, TopicPartition("payments", 1)]
    assert await places_of(Broker(True, False, True), "there is none") == []


async def test_who_is_told_of_no_topics_does_not_take_it_for_there_being_none() -> None:
    with pytest.raises(KafkaError, match="no broker tells what topics there are"):
        await places_of(Broker(), "payments", wait_s=0.05)
