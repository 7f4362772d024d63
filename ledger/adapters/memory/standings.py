"""Snapshots of books in memory, to be digested and compared."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ledger.adapters.memory.books import Contents, MemoryBooks
from ledger.application.compare_books import EntryLine, HoldLine, View
from ledger.domain.account import BalanceKey
from ledger.domain.digest import Standing, hash_of_line


class MemoryBooksToRead:
    """BooksToRead over books in memory."""

    def __init__(self, books: MemoryBooks) -> None:
        self._books = books

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["MemoryStandings"]:
        yield MemoryStandings(self._books.contents)


class MemoryStandings:
    """Standings of contents, which are never changed in place."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    async def read(self, view: View) -> AsyncIterator[Sequence[Standing]]:
        of = self._by_balance if view is View.BALANCES else self._by_entries
        yield [of(key) for key in sorted(self._contents.balances)]

    def _by_balance(self, key: BalanceKey) -> Standing:
        balance = self._contents.balances[key]
        return Standing(*key, balance.posted_debits, balance.posted_credits, balance.held, balance.version)

    def _by_entries(self, key: BalanceKey) -> Standing:
        lines = self._lines(key)
        amounts = [line.amount for line in lines]
        return Standing(
            *key,
            -sum(amount for amount in amounts if amount < 0),
            sum(amount for amount in amounts if amount > 0),
            sum(hold.left for hold in self._holds(key)),
            len(amounts),
            sum(hash_of_line(line.event_id, line.line, line.amount) for line in lines),
        )

    def _lines(self, key: BalanceKey) -> list[EntryLine]:
        lines = [
            EntryLine(
                entry.version,
                each.id,
                number,
                entry.amount,
                entry.posted_debits,
                entry.posted_credits,
                each.posted_at,
            )
            for (tenant, _), each in self._contents.transactions.items()
            for number, entry in enumerate(each.entries)
            if (tenant, entry.account, entry.asset) == key
        ]
        return sorted(lines, key=lambda line: line.version)

    def _holds(self, key: BalanceKey) -> list[HoldLine]:
        return [
            HoldLine(hold.id, hold.amount, hold.left, hold.captured, hold.released, hold.state)
            for (tenant, _), hold in sorted(self._contents.holds.items())
            if (tenant, hold.debit, hold.asset) == key
        ]

    async def entries(self, of: BalanceKey, after: int, limit: int) -> Sequence[EntryLine]:
        return [line for line in self._lines(of) if line.version > after][:limit]

    async def holds(self, of: BalanceKey, after: str | None, limit: int) -> Sequence[HoldLine]:
        return [line for line in self._holds(of) if after is None or line.event_id > after][:limit]

    async def positions(self, topic: str) -> dict[int, int]:
        return {at: offset for (name, at), offset in self._contents.positions.items() if name == topic}
