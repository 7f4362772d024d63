"""Writing events to Kafka: who waits goes in turn and together, and one who is refused takes nobody with it."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from ledger.adapters.kafka.queueing import PartitionQueue

BATCH_BYTES = 4096


class Event(NamedTuple):
    """A record that is told by its value."""

    value: bytes
    key: bytes = b"acme/ann"


class SlowBroker:
    """A producer whose broker acknowledges one batch after another, each when it is let; `log` is what it took."""

    def __init__(self, *, bytes_max: int = BATCH_BYTES) -> None:
        self.log: list[list[bytes]] = []
        self.fault: Exception | None = None
        self.let = asyncio.Semaphore(0)
        self._bytes_max = bytes_max
        self._built: dict[int, list[bytes]] = {}

    def create_batch(self) -> Any:
        batch = BatchBuilder(
            BATCH_BYTES, 0, is_transactional=False, key_serializer=None, value_serializer=None
        )
        appended = self._built[id(batch)] = []
        append = batch.append

        def noted(*, key: bytes, value: bytes, **more: Any) -> Any:
            metadata = append(key=key, value=value, **more)
            if metadata is not None:
                appended.append(value)
            return metadata

        batch.append = noted
        return batch

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> "asyncio.Task[None]":
        return asyncio.create_task(self._acknowledge(self._built.pop(id(batch)), batch.size()))

    async def _acknowledge(self, values: list[bytes], size: int) -> None:
        await self.let.acquire()
        if self.fault is not None:
            raise self.fault
        if size > self._bytes_max:
            raise MessageSizeTooLargeError
        self.log.append(values)


def events(name: str, count: int, size: int = 20) -> Sequence[Event]:
    return [Event(f"{name}-{number}".encode().ljust(size)) for number in range(count)]


def writing(queue: PartitionQueue, names: Sequence[str], count: int = 2) -> dict[str, "asyncio.Task[None]"]:
    return {name: asyncio.create_task(queue.write(events(name, count))) for name in names}


async def until_idle(broker: SlowBroker, acknowledgements: int) -> None:
    await settled()
    for _ in range(acknowledgements):
        broker.let.release()
        await settled()


async def settled() -> None:
    """Let everything run that waits for no broker."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_while_a_batch_is_under_way_goes_with_the_next() -> None:
    broker = SlowBroker()
    queue = PartitionQueue(broker, "payments", 0)
    waiting = writing(queue, [f"w{number}" for number in range(20)])
    await settled()
    late = writing(queue, ["late"])
    await until_idle(broker, 2)
    assert all(task.done() for task in (*waiting.values(), *late.values()))
    assert [len(batch) for batch in broker.log] == [40, 2]


async def test_whoever_comes_first_is_served_first_however_many_come_after() -> None:
    broker = SlowBroker()
    queue = PartitionQueue(broker, "payments", 0)
    order: list[str] = []
    for number in range(200):
        task = asyncio.create_task(queue.write(events(f"{number}", 5)))
        task.add_done_callback(lambda _, name=f"{number}": order.append(name))  # type: ignore[misc]
    await until_idle(broker, 30)
    assert order == [f"{number}" for number in range(200)]
    assert len(broker.log) < 25


async def test_the_records_of_a_request_keep_their_order_over_batches() -> None:
    broker = SlowBroker()
    queue = PartitionQueue(broker, "payments", 0)
    task = asyncio.create_task(queue.write(events("long", 100, size=200)))
    other = writing(queue, ["after"])
    await until_idle(broker, 10)
    written = [value.strip() for batch in broker.log for value in batch]
    assert (task.done(), other["after"].done()) == (True, True)
    assert written == [f"long-{number}".encode() for number in range(100)] + [b"after-0", b"after-1"]
    assert all(len(one) >= len(next_) for one, next_ in pairwise(broker.log[:-1]))


async def test_a_record_that_fits_into_no_batch_is_refused_alone() -> None:
    broker = SlowBroker()
    queue = PartitionQueue(broker, "payments", 0)
    small = writing(queue, ["small"])
    large = asyncio.create_task(queue.write(events("large", 1, size=2 * BATCH_BYTES)))
    after = writing(queue, ["after"])
    await until_idle(broker, 3)
    with pytest.raises(MessageSizeTooLargeError):
        await large
    assert (small["small"].exception(), after["after"].exception()) == (None, None)


async def test_a_batch_too_large_for_the_topic_is_parted_by_requests() -> None:
    broker = SlowBroker(bytes_max=1000)
    queue = PartitionQueue(broker, "payments", 0)
    small = writing(queue, ["a", "b"])
    large = asyncio.create_task(queue.write(events("large", 1, size=2000)))
    await until_idle(broker, 4)
    with pytest.raises(MessageSizeTooLargeError):
        await large
    assert [task.exception() for task in small.values()] == [None, None]
    assert [value.strip() for batch in broker.log for value in batch] == [b"a-0", b"a-1", b"b-0", b"b-1"]


async def test_a_request_too_large_for_the_topic_is_written_where_each_of_its_records_fits() -> None:
    broker = SlowBroker(bytes_max=1000)
    queue = PartitionQueue(broker, "payments", 0)
    several = asyncio.create_task(queue.write(events("part", 6, size=400)))
    await until_idle(broker, 2)
    assert not several.done()
    await until_idle(broker, 20)
    assert several.exception() is None
    assert [value.strip() for batch in broker.log for value in batch] == [
        f"part-{number}".encode() for number in range(6)
    ]


async def test_of_a_request_nothing_is_written_after_a_record_that_the_topic_does_not_take() -> None:
    broker = SlowBroker(bytes_max=1000)
    queue = PartitionQueue(broker, "payments", 0)
    refused = asyncio.create_task(
        queue.write([*events("first", 1), *events("large", 1, size=1500), *events("last", 2)])
    )
    after = writing(queue, ["after"])
    await until_idle(broker, 20)
    with pytest.raises(MessageSizeTooLargeError):
        await refused
    assert after["after"].exception() is None
    assert [value.strip() for batch in broker.log for value in batch] == [b"first-0", b"after-0", b"after-1"]


async def test_what_is_cancelled_before_its_turn_is_not_written() -> None:
    broker = SlowBroker()
    queue = PartitionQueue(broker, "payments", 0)
    writing(queue, ["first"])
    await settled()
    given_up, after = (writing(queue, [name])[name] for name in ("given up", "after"))
    await settled()
    given_up.cancel()
    await until_idle(broker, 2)
    assert after.done()
    assert [value.strip() for value in broker.log[1]] == [b"after-0", b"after-1"]


async def test_a_fault_is_told_to_those_whose_batch_it_was_and_the_next_is_tried() -> None:
    broker = SlowBroker()
    queue = PartitionQueue(broker, "payments", 0)
    broker.fault = KafkaConnectionError("gone")
    failed = writing(queue, ["one", "two"])
    await until_idle(broker, 1)
    broker.fault = None
    again = writing(queue, ["three"])
    await until_idle(broker, 1)
    assert [type(task.exception()) for task in failed.values()] == [KafkaConnectionError] * 2
    assert again["three"].exception() is None
