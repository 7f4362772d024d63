"""Records as Kafka keeps them, in less room, and whatever their header names are.

aiokafka alone stops at a name that is not UTF-8. What it makes of a record is an object that Python's collector has to
look at, and there are tens of thousands of them in a busy worker.
"""

import struct
from collections.abc import Iterator
from typing import Any, SupportsIndex

import msgspec
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH = struct.Struct(">i")
_LENGTH_AT, _LENGTH_END = 8, 12


class FetchedRecord(msgspec.Struct, gc=False):
    """A record as consumers give it: what aiokafka's ConsumerRecord is, in less room; times are ms since 1970.

    Key and value are bytes, or None.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: Any
    value: Any
    checksum: int | None
    serialized_key_size: int
    serialized_value_size: int
    headers: tuple[tuple[str, bytes | None], ...]


def read_all_records() -> None:
    """Have aiokafka's consumers of this process read every record, as FetchedRecord; doing it again changes nothing.

    A header's name that is not UTF-8 comes as text with surrogate escapes, so that no byte of it is lost.
    """
    fetcher.MemoryRecords = AnyRecords
    fetcher.ConsumerRecord = FetchedRecord


class AnyRecords:
    """What a fetch brought, as aiokafka reads it; of each batch the bytes are kept for a second reading."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched = memoryview(fetched)
        self._at = 0
        self._records: Any = MemoryRecords(fetched)

    def size_in_bytes(self) -> int:
        return len(self._fetched)

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if batch is None:
            return None
        begin = self._at
        self._at += _LENGTH_END + _LENGTH.unpack_from(self._fetched, begin + _LENGTH_AT)[0]
        return _AnyBatch(batch, self._fetched[begin : self._at])


class _AnyBatch:
    """A batch that is read fast, or anew where that stops at a name."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            # From the first one again: aiokafka skips what it has handed out already.
            yield from _read_slowly(self._raw)


def _read_slowly(raw: memoryview) -> list[Any]:
    batch: Any = _DefaultRecordBatchPy(raw)
    batch._maybe_uncompress()
    batch._buffer = _AnyText(batch._buffer)
    return list(batch)


class _AnyText(bytearray):
    """Bytes whose parts decode, whatever they are."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        part = super().__getitem__(index)
        return _AnyText(part) if isinstance(part, bytearray) else part

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return super().decode(encoding, "surrogateescape")
