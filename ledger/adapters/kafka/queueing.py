"""Who writes to a partition waits in turn: all that comes while one batch is under way goes with the next."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from aiokafka.errors import MessageSizeTooLargeError

from ledger.contract.outgoing import CONTENT_TYPE


class Keyed(Protocol):
    """What is written: bytes under a key."""

    @property
    def key(self) -> bytes: ...

    @property
    def value(self) -> bytes: ...


@dataclass(slots=True, eq=False)
class _Request:
    """Records that are written in order, together as far as they fit; those before `next` are in a batch."""

    records: Sequence[Keyed]
    done: "asyncio.Future[None]"
    next: int = 0
    written: int = 0

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def acknowledged(self, count: int) -> None:
        self.written += count
        if self.written == len(self.records) and not self.done.done():
            self.done.set_result(None)


class _Part(NamedTuple):
    """What a batch holds of a request."""

    request: _Request
    records: Sequence[Keyed]


class PartitionQueue:
    """The way into one partition, one batch at a time.

    aiokafka takes one batch of ours a partition; of all who wait for that place, any may be the next, and again
    and again another. Here they go in the order in which they came, as many as a batch holds.
    """

    def __init__(self, producer: Any, topic: str, partition: int) -> None:
        self.producer = producer
        self._topic = topic
        self._partition = partition
        self._waiting: deque[_Request] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def write(self, records: Sequence[Keyed]) -> None:
        """Write records in order; raises KafkaError. What is cancelled before its turn is not written."""
        request = _Request(records, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all(), name=f"{self._topic}/{self._partition}")
        await request.done

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch, parts = self._fill()
                if parts:
                    await self._send(batch, parts)
        except Exception as error:
            for request in self._waiting:
                request.fail(error)
            self._waiting.clear()
        finally:
            self._sending = None

    async def _send(self, batch: Any, parts: Sequence[_Part]) -> None:
        try:
            batch.close()
            await (await self.producer.send_batch(batch, self._topic, partition=self._partition))
        except MessageSizeTooLargeError as error:
            # The topic takes less than a batch may hold: only whose record is too large is to hear of it.
            await self._send_smaller(parts, error)
        except Exception as error:
            for part in parts:
                part.request.fail(error)
        else:
            for part in parts:
                part.request.acknowledged(len(part.records))

    async def _send_smaller(self, parts: Sequence[_Part], error: MessageSizeTooLargeError) -> None:
        smaller = _smaller(parts)
        if not smaller:
            parts[0].request.fail(error)
        for part in smaller:
            if part.request.done.done():
                continue
            batch = self.producer.create_batch()
            for record in part.records:
                _append(batch, record)
            await self._send(batch, [part])

    def _fill(self) -> tuple[Any, list[_Part]]:
        """Fill a batch with the records of those who came first and still wait."""
        batch, parts = self.producer.create_batch(), list[_Part]()
        while self._waiting:
            request = self._waiting[0]
            begin = request.next
            is_whole = request.done.done() or _fill_with(batch, request)
            if request.next > begin:
                parts.append(_Part(request, request.records[begin : request.next]))
            if not is_whole:
                if parts:
                    break
                size = len(request.records[begin].value)
                request.fail(MessageSizeTooLargeError(f"{size} bytes do not fit into a batch"))
            self._waiting.popleft()
        return batch, parts


def _smaller(parts: Sequence[_Part]) -> Sequence[_Part]:
    """Part a batch by requests, or that of one request in two; a record alone is not parted."""
    if len(parts) > 1:
        return parts
    request, records = parts[0]
    middle = len(records) // 2
    return [_Part(request, records[:middle]), _Part(request, records[middle:])] if middle else []


def _fill_with(batch: Any, request: _Request) -> bool:
    """Append records while they fit; says whether all did."""
    while request.next < len(request.records):
        if _append(batch, request.records[request.next]) is None:
            return False
        request.next += 1
    return True


def _append(batch: Any, each: Keyed) -> Any:
    return batch.append(key=each.key, value=each.value, timestamp=None, headers=[CONTENT_TYPE])
