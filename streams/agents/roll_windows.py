"""The windows agent: decode a chunk of entries, merge it, wait for the checkpoint; then its frontier may move."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from time import perf_counter

from ledger.adapters.kafka.records import FetchedRecord
from ledger.observability.signals import Signals
from streams.transport.chunk import Chunk
from streams.windows.book import WindowBook
from streams.windows.checkpoints import Checkpoints
from streams.windows.entries import EntryDecoder, Seen, Unreadable

RECORDS_AT_ONCE = 1000
"""Readers wait no longer than it takes to merge these."""

UNREADABLE_TOLD_MAX = 10
"""Of one chunk; the metric counts them all."""


class RollChunk:
    """Handles one chunk; safe to run again over the same records, in whole or in part."""

    def __init__(self, book: WindowBook, checkpoints: Checkpoints, signals: Signals) -> None:
        self._book = book
        self._checkpoints = checkpoints
        self._signals = signals
        self._decoder = EntryDecoder()

    async def __call__(self, chunk: Chunk) -> None:
        started = perf_counter()
        unreadable: list[Unreadable] = []
        too_old = 0
        for records in _pieces(chunk.records):
            too_old += self._merge(chunk.partition, records, unreadable)
            await asyncio.sleep(0)
        if chunk.records:
            self._book.took(chunk.partition, chunk.end_offset, chunk.records[-1].timestamp / 1000)
        self._tell(chunk, unreadable)
        self._signals.emit(
            "entries.merged",
            partition=chunk.partition,
            records=len(chunk.records),
            entries=len(chunk.records) - len(unreadable),
            unreadable=len(unreadable),
            too_old=too_old,
            seconds=perf_counter() - started,
            taken=chunk.records,
            at=datetime.now(UTC),
        )
        await self._checkpoints.contains(chunk.partition, chunk.end_offset, len(chunk.records))

    def _merge(self, partition: int, records: Sequence[FetchedRecord], unreadable: list[Unreadable]) -> int:
        seen: list[Seen] = []
        for each in self._decoder.decode(records):
            if type(each) is Seen:
                seen.append(each)
            else:
                unreadable.append(each)  # type: ignore[arg-type]
        too_old = self._book.take(partition, seen)
        if too_old is None:
            raise RuntimeError(f"entries of partition {partition} came while its windows were not held")
        return too_old

    def _tell(self, chunk: Chunk, unreadable: Sequence[Unreadable]) -> None:
        for each in islice(unreadable, UNREADABLE_TOLD_MAX):
            self._signals.emit(
                "record.not_an_entry",
                topic=chunk.topic,
                partition=chunk.partition,
                offset=each.offset,
                fault=each.fault,
            )


def _pieces(
    records: Sequence[FetchedRecord],
) -> Iterator[Sequence[FetchedRecord]]:
    for begin in range(0, len(records), RECORDS_AT_ONCE):
        yield records[begin : begin + RECORDS_AT_ONCE]
