"""Publishes many records at once: whole batches for each partition, and every acknowledgement awaited."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Sequence
from itertools import count
from random import Random
from time import monotonic, time
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import close_producer, started
from ledger.config import COMPRESSION
from streams.transport.errors import PublishError, RecordTooLargeError
from streams.transport.partitioning import Partitioner

Answer = TypeVar("Answer")
Header = tuple[str, bytes | None]

BACKOFF_S_MIN = 0.05
BACKOFF_S_MAX = 2.0
CLOSING_S = 1.0
TOGETHER, TOGETHER_BYTES = 1000, 512 * 1024
"""Up to so many records go to the broker in one request, whatever their partitions; to build them takes 2 ms."""

ANSWERS = 3
"""After so many times the time of a request no answer of a producer comes any more: it asks again for one, at most."""


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One record to publish."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header] = ()


class Appended(NamedTuple):
    """Where records are in their partition: the offsets of the first and the last."""

    first: int
    last: int


class BatchPublisher:
    """Publishes to Kafka with acks from all in-sync replicas.

    `publish` returns when everything is acknowledged, and raises when that did not happen in `deadline_s`
    seconds; then some records may have been written, so publish them again: at least once. The records of one
    key keep their order within a call, and between calls if the caller awaits each.
    """

    def __init__(
        self,
        kafka: KafkaAccess | str,
        *,
        deadline_s: float = 30.0,
        batch_bytes_max: int = 256 * 1024,
        request_timeout_s: float = 10.0,
    ) -> None:
        self._kafka = kafka
        self._deadline_s = deadline_s
        self._batch_bytes_max = batch_bytes_max
        self._request_timeout_s = request_timeout_s
        self._answer_s = ANSWERS * request_timeout_s
        self._partitioner = Partitioner()
        self._jitter = Random()  # noqa: S311  # it only spreads retries
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._given_up: AIOKafkaProducer | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect; raises PublishError when Kafka cannot be reached."""
        self._producer = await self._connected()

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **client_options(self._kafka),
            acks="all",
            compression_type=COMPRESSION,
            max_batch_size=self._batch_bytes_max,
            request_timeout_ms=int(self._request_timeout_s * 1000),
        )
        try:
            return await started(producer, producer.stop, self._kafka)
        except KafkaError as error:
            raise PublishError(f"Kafka at {self._kafka} cannot be reached: {error}") from error

    async def _renew(self) -> None:
        """Put another producer in the place of one that is lost; raises PublishError while none can be had."""
        async with self._renewing:
            lost = self._started()
            if not self._is_lost(lost):
                return
            producer = await self._connected()
            if self._producer is not lost:  # it comes after `stop`
                await close_producer(producer, CLOSING_S)
                return
            self._producer = producer
            leaving = asyncio.create_task(self._let_go(lost))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    def _is_lost(self, producer: AIOKafkaProducer) -> bool:
        """Tell whether one did not answer, or sends no more: a fault new to aiokafka ends a sender for good."""
        return producer is self._given_up or bool(producer._sender.sender_task.done())

    async def _let_go(self, producer: AIOKafkaProducer) -> None:
        """Close a producer when whoever asked it for something has an answer: one that is closed gives none."""
        try:
            await asyncio.sleep(self._answer_s)
        finally:
            await close_producer(producer, CLOSING_S)

    async def stop(self) -> None:
        """Send what is on its way, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await close_producer(producer, self._answer_s)
        for leaving in self._leaving:
            leaving.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Write all records, or raise PublishError, or RecordTooLargeError."""
        deadline = monotonic() + self._deadline_s
        groups = await self._group(records, deadline)
        apart = not _are_few(records)
        sending = [
            self._send_all(place, group, deadline, turn=number if apart else 0)
            for number, (place, group) in enumerate(groups.items())
        ]
        for outcome in await asyncio.gather(*sending, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def publish_to(self, place: TopicPartition, records: list[Outgoing]) -> Appended:
        """Write all records to one partition in their order, and say where they are; raises as `publish` does."""
        written = await self._send_all(place, records, monotonic() + self._deadline_s)
        first, last = written[0].acknowledged.offset, written[-1]
        return Appended(first, last.acknowledged.offset + last.records - 1)

    async def publish_placed(self, records: Sequence[Outgoing]) -> list[tuple[TopicPartition, int]]:
        """Write all records, and say at which offset of which partition each is; raises as `publish` does."""
        deadline = monotonic() + self._deadline_s
        groups = await self._group(records, deadline)
        found: dict[int, deque[tuple[TopicPartition, int]]] = defaultdict(deque)
        for place, group in groups.items():
            written = await self._send_all(place, group, deadline)
            offsets = [
                batch.acknowledged.offset + number for batch in written for number in range(batch.records)
            ]
            for record, offset in zip(group, offsets, strict=True):
                found[id(record)].append((place, offset))
        return [found[id(record)].popleft() for record in records]

    async def _group(
        self, records: Sequence[Outgoing], deadline: float
    ) -> dict[TopicPartition, list[Outgoing]]:
        """Records by partition, in order; records of a topic whose partitions are unknown wait for metadata."""
        by_topic: dict[str, list[Outgoing]] = defaultdict(list)
        for record in records:
            by_topic[record.topic].append(record)
        groups: dict[TopicPartition, list[Outgoing]] = {}
        for topic, of_topic in by_topic.items():
            places = [TopicPartition(topic, number) for number in await self._partitions(topic, deadline)]
            lists: list[list[Outgoing]] = [[] for _ in places]
            choose = self._partitioner.chooser(topic, len(places))
            for record in of_topic:
                lists[choose(record.key)].append(record)
            groups.update((place, group) for place, group in zip(places, lists, strict=True) if group)
        return groups

    async def _partitions(self, topic: str, deadline: float) -> list[int]:
        for attempt in count():
            producer = self._started()
            try:
                return sorted(await self._answer(producer, producer.partitions_for(topic)))
            except KafkaError as error:
                await self._back_off(attempt, deadline, error)
        raise AssertionError("unreachable")

    async def _send_all(
        self, place: TopicPartition, records: list[Outgoing], deadline: float, *, turn: int = 0
    ) -> list["Written"]:
        """Send one partition's records; after a failure, again from the first batch that failed, for order.

        Batches are built when the loop has gone round `turn` times: building those of many records in one go would
        keep everybody else waiting.
        """
        for _ in range(turn):
            await asyncio.sleep(0)
        batches = self._batches(records, len(records))
        written: list[Written] = []
        for attempt in count():
            done, error = await self._send(place, batches)
            written += done
            if error is None:
                break
            batches = batches[len(done) :]
            if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
                batches = self._halve(place, batches, error)
            else:
                await self._back_off(attempt, deadline, error)
        return written

    async def _send(
        self, place: TopicPartition, batches: list["Batch"]
    ) -> tuple[list["Written"], KafkaError | None]:
        """What was acknowledged before the first batch that was not, and why that one was not."""
        producer, sent = self._started(), []
        unsent: KafkaError | None = None
        try:
            for batch in batches:
                adding = producer.send_batch(batch.builder, place.topic, partition=place.partition)
                sent.append(await self._answer(producer, adding))
        except KafkaError as error:
            unsent = error
        try:
            answers = await self._answer(producer, asyncio.gather(*sent, return_exceptions=True))
        except KafkaTimeoutError as error:
            return [], error
        done: list[Written] = []
        for outcome, batch in zip(answers, batches, strict=False):
            if isinstance(outcome, KafkaError):
                return done, outcome
            if isinstance(outcome, BaseException):
                raise outcome
            done.append(Written(outcome, len(batch.records)))
        return done, unsent

    async def _answer(self, producer: AIOKafkaProducer, asked: Awaitable[Answer]) -> Answer:
        """Wait for an answer of a producer for as long as one may come; after that it is given up for lost."""
        try:
            async with asyncio.timeout(self._answer_s):
                return await asked
        except TimeoutError as error:
            self._given_up = producer
            raise KafkaTimeoutError("the producer does not answer") from error

    def _batches(self, records: list[Outgoing], records_max: int) -> list["Batch"]:
        batches: list[Batch] = []
        begin = 0
        while begin < len(records):
            builder = self._started().create_batch()
            end = _fill(builder, records, begin, min(len(records), begin + records_max))
            batches.append(Batch(builder, records[begin:end]))
            begin = end
        return batches

    def _halve(self, place: TopicPartition, batches: list["Batch"], error: KafkaError) -> list["Batch"]:
        """The broker takes smaller batches than we make: make the first of these anew, in halves."""
        first, *rest = batches
        if len(first.records) == 1:
            raise RecordTooLargeError(
                f"a record for {place.topic} is larger than the broker takes", first.records[0]
            ) from error
        return self._batches(first.records, (len(first.records) + 1) // 2) + rest

    async def _back_off(self, attempt: int, deadline: float, error: KafkaError) -> None:
        is_lost = self._is_lost(self._started())
        if is_lost:
            await self._renew()
        wait = min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2**attempt) * self._jitter.uniform(0.5, 1.0)
        if not (is_lost or _passes(error)) or monotonic() + wait > deadline:
            raise PublishError(f"not acknowledged: {error!r}") from error
        await asyncio.sleep(wait)

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise PublishError("the publisher is not running")
        return self._producer


def _are_few(records: Sequence[Outgoing]) -> bool:
    return len(records) <= TOGETHER and sum(len(record.value or b"") for record in records) <= TOGETHER_BYTES


def _passes(error: KafkaError) -> bool:
    """aiokafka calls a batch that waited too long for its broker final; here the deadline decides."""
    return bool(error.retriable) or isinstance(error, KafkaTimeoutError | KafkaConnectionError)


class Written(NamedTuple):
    """What the broker acknowledged: where a batch begins, and how many records it has."""

    acknowledged: Any
    records: int


class Batch(NamedTuple):
    """Records as they go to the broker, and as they came, in case it wants them in smaller batches."""

    builder: BatchBuilder
    records: list[Outgoing]


def _fill(builder: BatchBuilder, records: list[Outgoing], begin: int, end: int) -> int:
    """Append records until the batch is full; gives the index of the first that did not fit."""
    # By the builder inside: what aiokafka's own does around it costs half as much again as the record.
    append, now_ms = builder._builder.append, int(time() * 1000)
    for index in range(begin, end):
        record = records[index]
        try:
            fitted = append(index - begin, now_ms, record.key, record.value, list(record.headers)) is not None
        except UnicodeEncodeError:
            if index == begin:
                _append_any_names(builder, record)
                end = index + 1
            else:
                end = index
            break
        if not fitted:
            if index == begin:
                raise RecordTooLargeError(f"a record for {record.topic} does not fit into a batch", record)
            end = index
            break
    # A batch that is closed does not linger, and takes no records of others.
    builder._relative_offset = end - begin
    builder.close()
    return end


class _AnyName(str):
    """A header's name that was read with surrogate escapes: it goes out as the bytes that it came as."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:
        return super().encode(encoding, "surrogateescape")


def _append_any_names(builder: BatchBuilder, record: Outgoing) -> None:
    """Write one record by aiokafka's slow builder: the fast one takes no name that is not UTF-8."""
    builder._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, builder._builder.size())
    headers = [(_AnyName(name), value) for name, value in record.headers]
    builder._builder.append(0, None, record.key, record.value, headers)
