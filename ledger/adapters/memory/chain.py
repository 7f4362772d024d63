"""The audit chain over books in memory."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from ledger.adapters.memory.books import MemoryBooks
from ledger.application.chain import Appended, Linked
from ledger.domain.books import EventKey
from ledger.domain.chain import (
    ChainedLine,
    ChainedTransaction,
    Head,
    Link,
    canonical_json,
    extend,
    first_head,
)
from ledger.domain.moments import EPOCH, microseconds
from ledger.domain.transaction import Transaction


class MemoryChain:
    """A ChainStore, Chains, and a ChainSnapshot in one."""

    def __init__(self, books: MemoryBooks) -> None:
        self._books = books
        self._chains: dict[str, list[Link]] = {}
        self._linked: set[EventKey] = set()
        self._mark: datetime | None = None

    # As it grows

    async def append(self, keys: Sequence[EventKey], *, late: bool = False) -> Appended:
        posted = self._books.contents.transactions
        fresh = [key for key in keys if key in posted and key not in self._linked]
        for tenant in dict.fromkeys(tenant for tenant, _ in fresh):
            chain = self._chains.setdefault(tenant, [])
            head = chain[-1].head if chain else first_head(tenant)
            chain += extend(
                tenant, head, [chained(posted[key]) for key in fresh if key[0] == tenant], late=late
            )
        self._linked |= set(fresh)
        return Appended(len(fresh), [key for key in keys if key not in posted and key not in self._linked])

    async def begin_sweep(self) -> datetime:
        self._mark = self._mark or datetime(1, 1, 2, tzinfo=UTC)
        return self._mark

    async def complete(self, before: datetime, mark: datetime) -> None:
        if self._mark == mark:
            self._mark = max(before, mark)

    async def lower(self, at: datetime) -> None:
        if self._mark is not None:
            self._mark = min(at, self._mark) - timedelta(microseconds=1)

    # As it stands

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["MemoryChainSnapshot"]:
        yield MemoryChainSnapshot(self._books, self._chains, self._linked, await self.complete_before())

    async def complete_before(self) -> datetime | None:
        return None if self._mark is None or self._mark <= EPOCH else self._mark

    async def unlinked(
        self, since: datetime | None, before: datetime
    ) -> AsyncGenerator[Sequence[EventKey], None]:
        processed = self._books.contents.processed
        found = _unlinked(self._books, self._linked, before, since)
        yield [key for key in found if key in processed and processed[key].kind == "posted"]


class MemoryChainSnapshot:
    """Chains that nobody else sees."""

    def __init__(
        self,
        books: MemoryBooks,
        chains: Mapping[str, list[Link]],
        linked: set[EventKey],
        complete_before: datetime | None,
    ) -> None:
        self._books = books
        self._chains = {tenant: list(chain) for tenant, chain in chains.items()}
        self._linked = linked
        self._complete_before = complete_before

    async def heads(self) -> Mapping[str, Head]:
        return {tenant: chain[-1].head for tenant, chain in sorted(self._chains.items())}

    async def tenants(self) -> Sequence[str]:
        return sorted(self._chains)

    async def linked(self, tenant: str, after: int, limit: int) -> Sequence[Linked]:
        posted = self._books.contents.transactions
        links = await self.links(tenant, after, limit)
        rows = [posted.get((tenant, link.event_id)) for link in links]
        return [
            Linked(link, None if row is None else chained(row)) for link, row in zip(links, rows, strict=True)
        ]

    async def links(self, tenant: str, after: int, limit: int) -> Sequence[Link]:
        return self._chains.get(tenant, [])[after : after + limit]

    async def complete_before(self) -> datetime | None:
        return self._complete_before

    async def unlinked(self, before: datetime, limit: int) -> Sequence[EventKey]:
        return _unlinked(self._books, self._linked, before)[:limit]


def _unlinked(
    books: MemoryBooks, linked: set[EventKey], before: datetime, since: datetime | None = None
) -> list[EventKey]:
    posted = books.contents.transactions.items()
    found = [(row.posted_at, row.id, key) for key, row in posted if key not in linked]
    return [key for at, _, key in sorted(found) if at < before and (since is None or at >= since)]


def chained(row: Transaction) -> ChainedTransaction:
    """Give a posted transaction as the chain sees it."""
    posted_at_us = microseconds(row.posted_at)
    return ChainedTransaction(
        row.tenant,
        row.id,
        row.type,
        posted_at_us,
        microseconds(row.effective_at),
        row.reference,
        None if row.metadata is None else canonical_json(row.metadata),
        row.reverses,
        row.captures,
        tuple(
            ChainedLine(
                entry.account,
                entry.asset,
                entry.amount,
                entry.version,
                entry.posted_debits,
                entry.posted_credits,
                posted_at_us,
            )
            for entry in row.entries
        ),
    )
