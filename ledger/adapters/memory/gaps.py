"""The books' positions in memory, moved past records that are lost."""

from collections.abc import Mapping

from ledger.adapters.memory.books import Contents
from ledger.application.gaps import Acceptance, BooksMovedError, Gap


class MemoryPositions:
    """BooksPositions over the contents of books in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self.accepted: list[tuple[Gap, Acceptance]] = []

    async def positions(self, topic: str) -> Mapping[int, int]:
        return {at: offset for (name, at), offset in self._contents.positions.items() if name == topic}

    async def accept(self, gap: Gap, acceptance: Acceptance) -> None:
        place = (gap.topic, gap.partition)
        if self._contents.positions.get(place) != gap.first:
            raise BooksMovedError(f"the books no longer stand at {gap.topic}/{gap.partition}/{gap.first}.")
        self._contents.positions = self._contents.positions | {place: gap.next}
        self.accepted.append((gap, acceptance))
