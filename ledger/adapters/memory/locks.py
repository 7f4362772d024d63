"""Row locks in memory: whoever wants a row waits for the transaction that holds it, in the order of asking."""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable

from ledger.application.faults import TransientFaultError

Row = Hashable
"""A name that begins with the kind of the row."""


class Locks:
    """Rows held by transactions until these end. A ring of waiting transactions is refused, as a server does."""

    def __init__(self) -> None:
        self._holders: dict[Row, object] = {}
        self._held: dict[object, list[Row]] = {}
        self._queues: dict[Row, deque[tuple[object, asyncio.Future[None]]]] = {}
        self._waits: dict[object, Row] = {}

    @property
    def waiting(self) -> int:
        """How many transactions wait for another."""
        return len(self._waits)

    def is_held(self, row: Row) -> bool:
        """Whether any transaction holds a row."""
        return row in self._holders

    async def take_all(self, owner: object, rows: Iterable[Row]) -> None:
        """Take rows one after the other; those that the owner holds are its own."""
        for row in rows:
            await self.take(owner, row)

    async def take(self, owner: object, row: Row) -> None:
        """Take one row, and wait while another transaction holds it; raises TransientFaultError in a ring."""
        holder = self._holders.get(row)
        if holder is owner:
            return
        if holder is None:
            self._give(owner, row)
            return
        if self._leads_to(row, owner):
            raise TransientFaultError("deadlock detected")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(row, deque()).append((owner, waiter))
        self._waits[owner] = row
        try:
            await waiter
        except asyncio.CancelledError:
            self._give_up(row, owner, waiter)
            raise
        finally:
            self._waits.pop(owner, None)

    def release(self, owner: object) -> None:
        """The transaction has ended: each of its rows goes to whoever waited first."""
        for row in self._held.pop(owner, ()):
            self._pass_on(row)

    def _give(self, owner: object, row: Row) -> None:
        self._holders[row] = owner
        self._held.setdefault(owner, []).append(row)

    def _pass_on(self, row: Row) -> None:
        del self._holders[row]
        queue = self._queues.get(row) or deque()
        while queue:
            owner, waiter = queue.popleft()
            if not waiter.done():
                self._give(owner, row)
                # It waits no more, though it goes on only later.
                self._waits.pop(owner, None)
                waiter.set_result(None)
                break
        if not queue:
            self._queues.pop(row, None)

    def _give_up(self, row: Row, owner: object, waiter: asyncio.Future[None]) -> None:
        queue = self._queues.get(row)
        if queue is not None and (owner, waiter) in queue:
            queue.remove((owner, waiter))

    def _leads_to(self, row: Row | None, owner: object) -> bool:
        """Whether whoever holds `row` waits, over others, for `owner`."""
        while row is not None and (holder := self._holders.get(row)) is not None:
            if holder is owner:
                return True
            row = self._waits.get(holder)
        return False
