"""Records as they were written, from wherever they are kept: a topic, or its archive."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from ledger.contract.dead_letter import Record


class RecordSource(Protocol):
    """The records of one topic. Several partitions may be read side by side, unless the source says otherwise."""

    topic: str

    async def bounds(self) -> Mapping[int, tuple[int, int]]:
        """Give the first and the next offset of each partition."""
        ...

    async def offsets_at(self, time_ms: int) -> Mapping[int, int]:
        """Give, by partition, the offset of the first record written at or after a time; its next offset if none."""
        ...

    def read(self, partition: int, first: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """Read the records from `first` to before `end`, in order, in runs of bounded size; holes are left out."""
        ...
