"""The books in dictionaries, with the semantics of the real ones: rows are locked in one order, all or nothing."""

import copy
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from ledger.adapters.memory.locks import Locks, Row
from ledger.application.faults import PositionGapError, TransientFaultError
from ledger.application.payment_ports import Line, Payment
from ledger.application.payment_requests import first_line, payment_of
from ledger.application.ports import Position
from ledger.contract.dead_letter import DeadLetter
from ledger.domain.account import Account, AccountKey, Balance, BalanceKey
from ledger.domain.books import Books, Changes, EventKey, Needs, ProviderKey
from ledger.domain.commands import Event, hold_of
from ledger.domain.holding import view_of
from ledger.domain.holds import Hold
from ledger.domain.outcome import Earlier, HoldView, Outcome, PaymentView
from ledger.domain.transaction import Original, Transaction, original_of

LEDGER_PREFIX = "ledger:"

LetterKey = tuple[str, int, int]
"""(topic, partition, offset)"""


class Contents(msgspec.Struct):
    """Everything that the books hold."""

    accounts: dict[AccountKey, Account] = {}
    balances: dict[BalanceKey, Balance] = {}
    holds: dict[EventKey, Hold] = {}
    originals: dict[EventKey, Original] = {}
    transactions: dict[EventKey, Transaction] = {}
    processed: dict[EventKey, Earlier] = {}
    dead_letters: dict[LetterKey, DeadLetter] = {}
    positions: dict[tuple[str, int], int] = {}
    types: dict[EventKey, str] = {}
    """Of the events processed."""
    opened_at: dict[AccountKey, datetime] = {}
    closed_at: dict[AccountKey, datetime] = {}
    tenants: set[str] = set()
    payments: dict[EventKey, Payment] = {}
    payment_lines: dict[EventKey, tuple[Line, ...]] = {}
    """A line for each version."""
    claimed_until: dict[EventKey, datetime] = {}
    providers: dict[ProviderKey, Mapping[str, Any]] = {}
    closed_to_strangers: set[str] = set()
    """Tenants whose accounts must be opened by command."""


class MemoryBooks:
    """A BookStore in memory. Transactions run side by side, and wait for each other's rows as on a server."""

    def __init__(self) -> None:
        self.contents = Contents()
        """What is committed; replaced, and never changed in place."""
        self.locks = Locks()

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator["MemoryUnitOfWork"]:
        unit = MemoryUnitOfWork(self)
        try:
            yield unit
        finally:
            self.locks.release(unit)

    async def begin(self, topic: str, first_offsets: Mapping[int, int]) -> None:
        begun = {(topic, partition): first for partition, first in first_offsets.items()}
        self.contents = replace(self.contents, positions=begun | self.contents.positions)


class MemoryUnitOfWork:
    """A UnitOfWork: it reads what is committed, and keeps what it writes to itself until it commits."""

    def __init__(self, store: MemoryBooks) -> None:
        self._store = store
        self._writes: list[Write] = []
        self._found: set[Row] = set()

    @property
    def _kept(self) -> Contents:
        """What is committed now, by whomever."""
        return self._store.contents

    async def claim(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        await self._take("event", _ordered(event.identity for event in events))
        return {
            event.identity: self._kept.processed[event.identity]
            for event in events
            if event.identity in self._kept.processed
        }

    async def lock(self, needs: Needs) -> Books:
        # Tenants are made at once, whatever becomes of the batch; of all else the unit works on copies of its own.
        self._store.contents = replace(self._kept, tenants=self._kept.tenants | needs.tenants)
        books = Books(auto_open=dict.fromkeys(self._kept.closed_to_strangers, False))
        await self._lock_holds(books, needs)
        books.originals = {
            key: copy.copy(self._kept.originals[key])
            for key in needs.originals
            if key in self._kept.originals
        }
        await self._lock_balances(books, needs)
        await self._lock_payments(books)
        books.providers = {key for key in needs.providers if _is_provider(self._kept, key)}
        for key, original in books.originals.items():
            original.reversed = self._kept.originals[key].reversed
        return books

    async def _lock_holds(self, books: Books, needs: Needs) -> None:
        keys = _ordered(key for key in needs.holds if key in self._kept.holds)
        await self._take("hold", keys)
        books.holds = {key: copy.copy(self._kept.holds[key]) for key in keys}

    async def _lock_balances(self, books: Books, needs: Needs) -> None:
        """Lock accounts that close or take on an asset, then the balances that there are: as they stood before."""
        wanted = needs.balances | _keys_behind(books)
        found = {key for key in wanted if key in self._kept.balances}
        # What another batch opens while this one waits is not among them: it would be read without a lock.
        standing = {
            name for name in needs.accounts | {key[:2] for key in wanted} if name in self._kept.accounts
        }
        crowded = {key[:2] for key in wanted - found} | needs.closing
        await self._take("account", sorted(standing & crowded))
        closing = standing & needs.closing
        keys = sorted(found | {key for key in self._kept.balances if key[:2] in closing})
        await self._take("balance", keys)
        for name in sorted(standing):
            books.accounts[name] = copy.copy(self._kept.accounts[name])
        for key in keys:
            balance = books.balances[key] = copy.copy(self._kept.balances[key])
            balance.account = books.accounts[key[:2]]
            balance.changed = False
        self._found = {("account", name) for name in standing} | {("balance", key) for key in keys}

    async def _lock_payments(self, books: Books) -> None:
        guarded = {key: hold.guard for key, hold in books.holds.items() if hold.guard is not None}
        await self._take("payment", _ordered(guarded))
        for key, guard in guarded.items():
            saga = self._kept.payments[key].saga
            guard = replace(guard, event_id=saga.event_id, step=saga.step)
            books.holds[key].guard = guard

    async def recall(self, events: Sequence[Event], earlier: Mapping[EventKey, Earlier]) -> list[Outcome]:
        return [self._recall(event, earlier[event.identity]) for event in events]

    def _recall(self, event: Event, earlier: Earlier) -> Outcome:
        transaction = self._kept.transactions.get(event.identity)
        return Outcome(
            event,
            earlier.kind,
            earlier.posted_at,
            transaction=transaction.id if transaction else None,
            entries=transaction.entries if transaction else (),
            effective_at=transaction.effective_at if transaction else None,
            hold=self._hold_view(event) if earlier.kind == "posted" else None,
            payment=self._payment_view(event) if earlier.kind == "posted" else None,
            reason=earlier.reason,
            detail=earlier.detail,
        )

    def _hold_view(self, event: Event) -> HoldView | None:
        hold = self._written().holds.get((event.tenant, hold_of(event) or ""))
        return None if hold is None else view_of(hold)

    def _payment_view(self, event: Event) -> PaymentView | None:
        payment = self._kept.payments.get(event.identity)
        return None if payment is None else PaymentView(payment.saga.id, payment.saga.state)

    async def write(
        self,
        books: Books,
        decided: Sequence[Outcome],
        at: Sequence[datetime],
        letters: Sequence[DeadLetter],
    ) -> None:
        changes = books.changes
        accounts = [(account.tenant, account.code) for account in changes.opened]
        balances = [(each.account.tenant, each.account.code, each.asset) for each in changes.balances]
        await self._insert("account", sorted(accounts))
        await self._insert("balance", sorted(key for key in balances if ("balance", key) not in self._found))
        for hold in changes.holds_placed:
            hold.row_exists = True
        fresh = {(at.record.topic, at.record.partition, at.record.offset): at for at in letters}
        await self._take("letter", sorted(fresh))
        self._writes.append(partial(_write_changes, changes))
        self._writes.append(partial(_write_outcomes, changes, decided, fresh))

    async def _insert(self, kind: str, keys: Sequence[Row]) -> None:
        """Claim keys of rows that are new; whoever was faster has them."""
        await self._take(kind, keys)
        tables: dict[str, Mapping[Any, Any]] = {
            "account": self._kept.accounts,
            "balance": self._kept.balances,
        }
        if not tables[kind].keys().isdisjoint(keys):
            raise TransientFaultError(f"another batch opened the same {kind}; deciding anew")

    async def advance(self, position: Position) -> None:
        key = (position.topic, position.partition)
        await self._take("position", [key])
        reached = self._kept.positions.get(key, 0)
        if reached < position.first:
            raise PositionGapError(*key, reached, position.first)
        self._writes.append(partial(_write_position, key, max(reached, position.next)))

    async def commit(self) -> None:
        self._store.contents = self._written()
        self._writes.clear()
        self._store.locks.release(self)

    def _written(self) -> Contents:
        """Give what is committed with what this unit wrote."""
        contents = copy.copy(self._kept)
        for write in self._writes:
            write(contents)
        return contents

    async def _take(self, kind: str, keys: Iterable[Row]) -> None:
        await self._store.locks.take_all(self, [(kind, key) for key in keys])


Write = Callable[[Contents], None]
"""Writes into contents that nobody else has yet."""


def _write_changes(changes: Changes, kept: Contents) -> None:
    touched = {(account.tenant, account.code): account for account in changes.opened + changes.closed}
    kept.accounts = kept.accounts | touched
    kept.balances = kept.balances | {
        (balance.account.tenant, balance.account.code, balance.asset): balance for balance in changes.balances
    }
    placed = {(hold.tenant, hold.id): hold for hold in changes.holds_placed}
    kept.holds = kept.holds | placed | changes.holds_changed
    requested = {payment.key: payment for payment in map(payment_of, changes.payments)}
    kept.payments = kept.payments | requested
    lines = {key: (first_line(payment),) for key, payment in requested.items()}
    kept.payment_lines = kept.payment_lines | lines
    posted = {(each.tenant, each.id): each for each in changes.transactions}
    kept.transactions = kept.transactions | posted
    fresh = {key: original_of(each) for key, each in posted.items()}
    kept.originals = kept.originals | fresh | changes.reversals


def _write_outcomes(
    changes: Changes, decided: Sequence[Outcome], letters: dict[LetterKey, DeadLetter], kept: Contents
) -> None:
    kept.processed = kept.processed | {outcome.event.identity: _remembered(outcome) for outcome in decided}
    kept.types = kept.types | {outcome.event.identity: outcome.event.type for outcome in decided}
    kept.opened_at = kept.opened_at | _dated(changes.opened, decided)
    kept.closed_at = kept.closed_at | _dated(changes.closed, decided)
    kept.dead_letters = letters | kept.dead_letters


def _write_position(key: tuple[str, int], reached: int, kept: Contents) -> None:
    kept.positions = kept.positions | {key: reached}


def _ordered(keys: Iterable[EventKey]) -> list[EventKey]:
    """Sort by id: the order in which rows of events are locked."""
    return sorted(keys, key=lambda key: (key[1], key[0]))


def _is_provider(kept: Contents, key: ProviderKey) -> bool:
    tenant, name = key
    if name.startswith(LEDGER_PREFIX):
        return name.removeprefix(LEDGER_PREFIX) in kept.tenants - {tenant}
    return key in kept.providers


def _keys_behind(books: Books) -> set[BalanceKey]:
    """Name the balances that the holds and originals of a batch lead to."""
    keys = {(hold.tenant, code, hold.asset) for hold in books.holds.values() for code in hold.accounts}
    for (tenant, _), original in books.originals.items():
        keys |= {(tenant, line.account, line.asset) for line in original.lines}
    return keys


def _dated(accounts: Sequence[Account], decided: Sequence[Outcome]) -> dict[AccountKey, datetime]:
    return {(account.tenant, account.code): decided[0].posted_at for account in accounts}


def _remembered(outcome: Outcome) -> Earlier:
    return Earlier(
        outcome.event.fingerprint,
        outcome.kind,
        outcome.posted_at,
        outcome.event.topic,
        outcome.event.partition,
        outcome.event.offset,
        outcome.transaction,
        outcome.reason,
        outcome.detail,
    )
