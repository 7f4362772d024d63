"""Ports: what the use cases need of the world. Memory and real adapters pass the same tests."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from ledger.contract.dead_letter import DeadLetter
from ledger.domain.books import Books, EventKey, Needs
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier, Outcome


class Position(msgspec.Struct, frozen=True):
    """A run of a partition: everything from offset `first` up to, and without, offset `next`."""

    topic: str
    partition: int
    first: int
    next: int


class Clock(Protocol):
    def now(self) -> datetime:
        """Tell the time, in UTC."""
        ...


class UnitOfWork(Protocol):
    """One transaction over the books; left without `commit`, it leaves no trace."""

    async def claim(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        """Claim ids that differ from one another, before anything is locked; waits for whoever claims one as well.

        Gives what is known of those that were claimed before.
        """
        ...

    async def lock(self, needs: Needs) -> Books:
        """Lock what events need that were claimed, in one order for every caller, and read it as it stands."""
        ...

    async def recall(self, events: Sequence[Event], earlier: Mapping[EventKey, Earlier]) -> list[Outcome]:
        """Read the outcomes of events decided before, entries and all, in the order given."""
        ...

    async def write(
        self,
        books: Books,
        decided: Sequence[Outcome],
        at: Sequence[datetime],
        letters: Sequence[DeadLetter],
    ) -> None:
        """Write what changed in `books`, the outcomes of claimed events, each decided at its time, and dead letters.

        A dead letter that is there already stays as it is.
        """
        ...

    async def advance(self, position: Position) -> None:
        """Move the books' own position, once ids are claimed, and before anything is locked.

        Raises PositionGapError if records before it were never handled.

        A partition that the books have never seen begins at 0, or where `BookStore.begin` said.
        """
        ...

    async def commit(self) -> None:
        """Make it durable. Raises TransientFaultError also where the answer was lost."""
        ...


class BookStore(Protocol):
    """The books, where they are kept."""

    def unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Begin a unit of work; every method of it may raise TransientFaultError."""
        ...

    async def begin(self, topic: str, first_offsets: Mapping[int, int]) -> None:
        """Say where the log of each partition begins, for those that the books have never seen."""
        ...
