"""One store under test, with the use case over it and a look into it."""

import itertools
from typing import Any, Protocol

from ledger.application.ports import BookStore, Position
from ledger.application.post_events import Batch, PostEvents
from ledger.contract.dead_letter import DeadLetter
from ledger.domain.books import Rules
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from tests.builders import HandClock
from tests.digests import Digest
from tests.fakes import RememberedSignals

_numbers = itertools.count(1)


class Look(Protocol):
    """How a test looks into the books."""

    async def digest(self, tenant: str) -> Digest: ...
    async def position(self, topic: str, partition: int) -> int | None: ...
    async def letters(self, topic: str) -> list[tuple[int, bytes | None, bytes | None, str]]: ...
    async def waiting(self) -> int: ...
    def worker(self) -> BookStore: ...


class Bench:
    """One store under test, with the use case over it."""

    def __init__(self, store: BookStore, look: Look) -> None:
        number = next(_numbers)
        self.tenant, self.topic = f"t{number}", f"topic-{number}"
        self.store, self.look = store, look
        self.clock = HandClock()
        self.signals = RememberedSignals()

    def poster(self, store: BookStore | None = None) -> PostEvents:
        """Give a worker of its own over these books, or over `store`."""
        return PostEvents(store or self.store, self.clock, Rules(), self.signals, backoff_max_s=0.01)

    async def post(
        self,
        *events: Event,
        letters: tuple[DeadLetter, ...] = (),
        position: Position | None = None,
        store: BookStore | None = None,
    ) -> list[Outcome]:
        return await self.poster(store)(Batch(events, letters, position))

    async def answers(self, *events: Event, **more: Any) -> list[str]:
        return [str(each.reason or each.kind) for each in await self.post(*events, **more)]

    async def digest(self) -> Digest:
        return await self.look.digest(self.tenant)

    async def balance(self, account: str, asset: str = "USD/2") -> str:
        """Write a balance as scripts do."""
        digest = await self.digest()
        debits, credits_, held, version = digest["balances"].get((account, asset), (0, 0, 0, 0))
        side = digest["accounts"].get(account, ("credit",))[0]
        net = credits_ - debits if side == "credit" else debits - credits_
        return f"{net} held {held} version {version}"
