"""Books in memory over books that are only looked at: what a batch changes is kept here, and nowhere else."""

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Protocol

import msgspec

from ledger.application.ports import Position
from ledger.contract.dead_letter import DeadLetter
from ledger.domain.account import Account, AccountKey, Balance, BalanceKey
from ledger.domain.books import Books, EventKey, Needs
from ledger.domain.commands import Event
from ledger.domain.digest import Standing
from ledger.domain.holds import Hold
from ledger.domain.outcome import Earlier, Outcome
from ledger.domain.transaction import Original, original_of


class BooksBelow(Protocol):
    """Books to look at."""

    async def look(self, needs: Needs) -> Books: ...
    async def of(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]: ...


class _Kept(msgspec.Struct):
    """What is no longer as it is below."""

    accounts: dict[AccountKey, Account] = {}
    balances: dict[BalanceKey, Balance] = {}
    holds: dict[EventKey, Hold] = {}
    originals: dict[EventKey, Original] = {}
    processed: dict[EventKey, Earlier] = {}
    before: dict[BalanceKey, Standing] = {}


class OverlayBooks:
    """A BookStore in memory over other books; it grows with what is posted to it, not with what is below."""

    def __init__(self, below: BooksBelow) -> None:
        self._below = below
        self._kept = _Kept()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator["OverlayUnitOfWork"]:
        async with self._turn:
            yield OverlayUnitOfWork(self._below, self._kept)

    async def begin(self, topic: str, first_offsets: Mapping[int, int]) -> None:
        """Positions are left alone."""

    def changed(self) -> list[tuple[Standing, Standing]]:
        """Give what stands otherwise than below, before and after, in order."""
        pairs = [(self._kept.before[key], _standing(key, each)) for key, each in self._kept.balances.items()]
        return sorted((pair for pair in pairs if pair[0] != pair[1]), key=lambda pair: pair[0].key)


class OverlayUnitOfWork:
    """A UnitOfWork whose changes are kept when it is committed."""

    def __init__(self, below: BooksBelow, kept: _Kept) -> None:
        self._below = below
        self._kept = kept
        self._before: dict[BalanceKey, Standing] = {}
        self._books = Books()
        self._decided: Sequence[Outcome] = ()

    async def lock(self, needs: Needs) -> Books:
        kept = self._kept
        holds = {key: copy.copy(kept.holds[key]) for key in needs.holds if key in kept.holds}
        originals = {key: copy.copy(kept.originals[key]) for key in needs.originals if key in kept.originals}
        wanted = needs.balances | _balances_behind(holds, originals)
        books = await self._below.look(msgspec.structs.replace(needs, balances=wanted))
        self._before = {key: _standing(key, balance) for key, balance in books.balances.items()}
        books.holds |= holds
        books.originals |= originals
        wanted |= _balances_behind(books.holds, books.originals)
        closing = {key for key in kept.balances if key[:2] in needs.closing} if needs.closing else set()
        self._lay_over(books, wanted | closing, needs.accounts)
        self._books = books
        return books

    def _lay_over(self, books: Books, keys: set[BalanceKey], names: set[AccountKey]) -> None:
        kept = self._kept
        for name in names | {key[:2] for key in keys | books.balances.keys()}:
            if name in kept.accounts:
                books.accounts[name] = copy.copy(kept.accounts[name])
        books.balances |= {key: copy.copy(kept.balances[key]) for key in keys if key in kept.balances}
        for key, balance in books.balances.items():
            balance.account = books.accounts.setdefault(key[:2], balance.account)
            balance.changed = False

    async def claim(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        below = await self._below.of(events)
        return dict(below) | {
            event.identity: self._kept.processed[event.identity]
            for event in events
            if event.identity in self._kept.processed
        }

    async def recall(self, events: Sequence[Event], earlier: Mapping[EventKey, Earlier]) -> list[Outcome]:
        return [_recalled(event, earlier[event.identity]) for event in events]

    async def write(
        self,
        books: Books,
        decided: Sequence[Outcome],
        at: Sequence[datetime],
        letters: Sequence[DeadLetter],
    ) -> None:
        self._decided = decided

    async def advance(self, position: Position) -> None:
        """Positions are left alone."""

    async def commit(self) -> None:
        kept, changes = self._kept, self._books.changes
        kept.accounts |= {(each.tenant, each.code): each for each in changes.opened + changes.closed}
        for balance in changes.balances:
            key = (balance.account.tenant, balance.account.code, balance.asset)
            kept.before.setdefault(key, self._before.get(key) or Standing(*key, 0, 0, 0, 0))
            kept.balances[key] = balance
        for hold in changes.holds_placed:
            hold.row_exists = True
            kept.holds[hold.tenant, hold.id] = hold
        kept.holds |= changes.holds_changed
        kept.originals |= {(each.tenant, each.id): original_of(each) for each in changes.transactions}
        kept.originals |= changes.reversals
        kept.processed |= {outcome.event.identity: _remembered(outcome) for outcome in self._decided}


def _balances_behind(
    holds: Mapping[EventKey, Hold], originals: Mapping[EventKey, Original]
) -> set[BalanceKey]:
    keys = {(hold.tenant, code, hold.asset) for hold in holds.values() for code in hold.accounts}
    for (tenant, _), original in originals.items():
        keys |= {(tenant, line.account, line.asset) for line in original.lines}
    return keys


def _standing(key: BalanceKey, balance: Balance) -> Standing:
    return Standing(*key, balance.posted_debits, balance.posted_credits, balance.held, balance.version)


def _remembered(outcome: Outcome) -> Earlier:
    event = outcome.event
    place = (event.topic, event.partition, event.offset)
    what = (outcome.transaction, outcome.reason, outcome.detail)
    return Earlier(event.fingerprint, outcome.kind, outcome.posted_at, *place, *what)


def _recalled(event: Event, earlier: Earlier) -> Outcome:
    return Outcome(
        event,
        earlier.kind,
        earlier.posted_at,
        earlier.transaction,
        reason=earlier.reason,
        detail=earlier.detail,
    )
