"""The use case over books in memory, for tests: an office with a clock by hand."""

from ledger.adapters.memory.books import Contents, MemoryBooks
from ledger.application.ports import BookStore, Position
from ledger.application.post_events import Batch, PostEvents
from ledger.contract.dead_letter import DeadLetter
from ledger.domain.books import Rules
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from tests.builders import HandClock, transfer
from tests.fakes import RememberedSignals


class Office:
    """The use case over books in memory, with a clock by hand."""

    def __init__(self, store: BookStore | None = None, books: MemoryBooks | None = None) -> None:
        self.books = books or MemoryBooks()
        self.clock = HandClock()
        self.signals = RememberedSignals()
        self._post = PostEvents(store or self.books, self.clock, Rules(), self.signals, backoff_max_s=0.001)

    async def post(self, *events: Event, position: Position | None = None) -> list[Outcome]:
        return await self._post(Batch(events, position=position))

    async def post_letters(self, *letters: DeadLetter, position: Position | None = None) -> list[Outcome]:
        return await self._post(Batch([], letters, position))

    async def answers(self, *events: Event) -> list[str]:
        return [answer(outcome) for outcome in await self.post(*events)]

    def balance(self, account: str, tenant: str = "acme") -> int:
        return self.books.contents.balances[tenant, account, "USD/2"].balance


def answer(outcome: Outcome) -> str:
    return str(outcome.reason or outcome.kind)


def deposit(name: object = "d", amount: int = 1000, **more: object) -> Event:
    return transfer("external:bank", "ann", amount, name=name, **more)


def digest(contents: Contents) -> dict[str, object]:
    """What the books hold, without where and by what it was read, and when it was posted."""
    return {
        "accounts": {
            key: (each.normal_side, each.overdraft, each.metadata, each.closed)
            for key, each in contents.accounts.items()
        },
        "balances": {
            key: (each.posted_debits, each.posted_credits, each.held, each.version)
            for key, each in contents.balances.items()
        },
        "holds": {
            key: (each.left, each.captured, each.released, each.state) for key, each in contents.holds.items()
        },
        "entries": {key: each.entries for key, each in contents.transactions.items()},
        "reversed": {key: each.reversed for key, each in contents.originals.items()},
        "processed": {key: (each.kind, each.reason) for key, each in contents.processed.items()},
    }
