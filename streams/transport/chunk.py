"""A chunk: consecutive records of one partition, with the stretch of the log that they cover."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition

from ledger.adapters.kafka.records import FetchedRecord


@dataclass(frozen=True, slots=True)
class Chunk:
    """Everything readable from `start_offset` up to, but not including, `end_offset`.

    Compaction and transaction markers leave holes in a log. `start_offset` is where the fetch stood before it
    read the first record and `end_offset` where it went on after the last, so two chunks that were fetched one
    after the other always touch, whatever holes lie between their records.

    `run` numbers an unbroken stretch of fetching: it begins with a seek and ends with the next seek or with the
    loss of the partition. Zero: fetched before any seek of ours, so of no run that can be trusted.
    """

    topic: str
    partition: int
    records: Sequence[FetchedRecord]
    start_offset: int
    end_offset: int
    run: int

    @property
    def place(self) -> TopicPartition:
        """The partition it came from."""
        return TopicPartition(self.topic, self.partition)

    @property
    def first_offset(self) -> int:
        """The first record's offset, or `start_offset` where the chunk is only a hole."""
        return int(self.records[0].offset) if self.records else self.start_offset

    @property
    def missing(self) -> int:
        """How many of its offsets hold nothing readable: compacted records, aborted ones, markers."""
        return self.end_offset - self.start_offset - len(self.records)

    def __len__(self) -> int:
        return len(self.records)
