"""Publishing: partitions as everyone computes them, whole batches, retries in order, and a deadline."""

import asyncio
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, TopicAuthorizationFailedError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.transport import publisher as publishing
from streams.transport.errors import PublishError, RecordTooLargeError
from streams.transport.partitioning import Partitioner
from streams.transport.publisher import BatchPublisher, Outgoing

Written = list[tuple[int, list[bytes | None]]]


class Acknowledged(NamedTuple):
    """Where a batch begins."""

    offset: int


class FakeProducer:
    """Keeps what is sent, and fails as it is told: one entry of `faults` for each batch that comes."""

    _sender = SimpleNamespace(sender_task=SimpleNamespace(done=lambda: False))

    def __init__(self, partitions: int, faults: list[Exception | None], batch_bytes_max: int) -> None:
        self.written: Written = []
        self.log: dict[int, list[bytes | None]] = {}
        self._partitions = partitions
        self._faults = faults
        self._batch_bytes_max = batch_bytes_max

    async def stop(self) -> None:
        """Nothing is on its way."""

    async def partitions_for(self, topic: str) -> set[int]:
        """All the partitions."""
        return set(range(self._partitions))

    def create_batch(self) -> BatchBuilder:
        """A real one."""
        return BatchBuilder(self._batch_bytes_max, 0)

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> "asyncio.Future[Acknowledged]":
        """Acknowledge or refuse."""
        fault = self._faults.pop(0) if self._faults else None
        future: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        if fault is None:
            self.written.append((partition, values(batch)))
            log = self.log.setdefault(partition, [])
            future.set_result(Acknowledged(len(log)))
            log += values(batch)
        else:
            future.set_exception(fault)
        return future


def values(batch: BatchBuilder) -> list[bytes | None]:
    """The values in a finished batch."""
    counted = batch.record_count()
    found = [record.value for record in MemoryRecords(bytes(batch._build())).next_batch()]
    assert counted == len(found)
    return found


def publisher_over(producer: FakeProducer, deadline_s: float = 5.0) -> BatchPublisher:
    """A publisher that believes that it was started."""
    made = BatchPublisher("nowhere:9092", deadline_s=deadline_s)
    cast(Any, made)._producer = producer
    return made


def fake(*faults: Exception | None, partitions: int = 1, batch_bytes_max: int = 200) -> FakeProducer:
    """A producer of small batches."""
    return FakeProducer(partitions, list(faults), batch_bytes_max)


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries at once."""
    monkeypatch.setattr(publishing, "BACKOFF_S_MIN", 0.0)


def outgoing(*texts: bytes | None) -> list[Outgoing]:
    """Records with one key, so of one partition."""
    return [Outgoing("outcomes", b"key", text, (("content-type", b"x"),)) for text in texts]


@given(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode)), st.integers(1, 50))
def test_a_key_goes_where_java_and_aiokafka_send_it(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))

    assert Partitioner().chooser("any", partitions)(key) == DefaultPartitioner()(key, everywhere, everywhere)


def test_records_without_a_key_take_turns_even_between_calls() -> None:
    partitioner = Partitioner()

    first = [partitioner.chooser("any", 3)(None) for _ in range(4)]
    assert first == [0, 1, 2, 0]


def test_remembered_keys_are_bounded() -> None:
    partitioner = Partitioner(keys_max=10)
    choose = partitioner.chooser("any", 4)
    for number in range(100):
        choose(b"%d" % number)

    assert len(partitioner._hashes) <= 10


async def test_records_fill_batches_and_keep_their_order() -> None:
    producer = fake()
    texts = [b"%03d" % number for number in range(50)]

    await publisher_over(producer).publish(outgoing(*texts))
    assert len(producer.written) > 5
    assert [text for _, batch in producer.written for text in batch] == texts


async def test_it_is_told_where_each_record_is() -> None:
    producer = fake(None, KafkaTimeoutError(), partitions=2, batch_bytes_max=300)
    records = [Outgoing("outcomes", b"%d" % (number % 5), b"%03d" % number) for number in range(30)]

    places = await publisher_over(producer).publish_placed([*records, records[0]])
    assert len(places) == 31
    assert len(set(places)) == 31
    for record, (place, offset) in zip(records, places, strict=False):
        assert producer.log[place.partition][offset] == record.value


async def test_values_and_header_values_may_be_missing() -> None:
    producer = fake()

    await publisher_over(producer).publish([Outgoing("outcomes", b"key", None, (("gone", None),))])
    assert producer.written == [(0, [None])]


async def test_after_a_failure_the_rest_is_sent_again_in_order() -> None:
    producer = fake(None, KafkaTimeoutError())
    texts = [b"%03d" % number for number in range(20)]

    await publisher_over(producer).publish(outgoing(*texts))
    sent = [text for _, batch in producer.written for text in batch if text is not None]
    last = {text: index for index, text in enumerate(sent)}
    assert sorted(texts, key=last.__getitem__) == texts


async def test_one_partition_that_fails_does_not_keep_another_from_being_written() -> None:
    producer = fake(TopicAuthorizationFailedError(), partitions=2)
    records = [Outgoing("outcomes", None, b"%d" % number) for number in range(2)]

    with pytest.raises(PublishError):
        await publisher_over(producer).publish(records)
    assert producer.written == [(1, [b"1"])]


async def test_a_fault_that_will_not_pass_is_raised_at_once() -> None:
    with pytest.raises(PublishError):
        await publisher_over(fake(TopicAuthorizationFailedError())).publish(outgoing(b"x"))


async def test_retries_end_at_the_deadline() -> None:
    faults = [KafkaTimeoutError() for _ in range(1_000_000)]

    with pytest.raises(PublishError):
        await publisher_over(fake(*faults), deadline_s=0.05).publish(outgoing(b"x"))


async def test_a_batch_that_the_broker_finds_too_large_is_halved() -> None:
    producer = fake(MessageSizeTooLargeError(), batch_bytes_max=10_000)

    await publisher_over(producer).publish(outgoing(b"a", b"b", b"c"))
    assert producer.written == [(0, [b"a", b"b"]), (0, [b"c"])]


async def test_a_record_that_the_broker_finds_too_large_is_refused() -> None:
    with pytest.raises(RecordTooLargeError):
        await publisher_over(fake(MessageSizeTooLargeError())).publish(outgoing(b"a"))


async def test_nothing_is_published_before_the_start() -> None:
    with pytest.raises(PublishError):
        await BatchPublisher("nowhere:9092").publish(outgoing(b"a"))


@pytest.mark.parametrize("asked", ["partitions_for", "send_batch", "acknowledgement"])
async def test_a_producer_that_never_answers_is_replaced(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    silent, other = fake(), fake()
    publisher = BatchPublisher("nowhere:9092", request_timeout_s=0.01)
    never = asyncio.get_running_loop().create_future()

    async def silence(*given: Any, **more: Any) -> Any:
        return never if asked == "acknowledgement" else await never

    async def connected() -> Any:
        monkeypatch.setattr(publisher, "_answer_s", 5.0)
        return other

    monkeypatch.setattr(silent, "send_batch" if asked == "acknowledgement" else asked, silence)
    monkeypatch.setattr(publisher, "_connected", connected)
    monkeypatch.setattr(publisher, "_producer", silent)
    await asyncio.wait_for(publisher.publish(outgoing(b"one")), 5.0)
    assert other.written == [(0, [b"one"])]
    await publisher.stop()
