"""The books in dictionaries, with the semantics of the real ones: one unit of work at a time, all or nothing."""

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec

from ledger.application.faults import PositionGapError
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


class Contents(msgspec.Struct):
    """Everything that the books hold."""

    accounts: dict[AccountKey, Account] = {}
    balances: dict[BalanceKey, Balance] = {}
    holds: dict[EventKey, Hold] = {}
    originals: dict[EventKey, Original] = {}
    transactions: dict[EventKey, Transaction] = {}
    processed: dict[EventKey, Earlier] = {}
    dead_letters: dict[tuple[str, int, int], DeadLetter] = {}
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
    """A BookStore in memory."""

    def __init__(self) -> None:
        self.contents = Contents()
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator["MemoryUnitOfWork"]:
        async with self._lock:
            unit = MemoryUnitOfWork(self.contents)
            try:
                yield unit
            finally:
                if unit.committed:  # whatever was raised after it
                    self.contents = unit.contents

    async def begin(self, topic: str, first_offsets: Mapping[int, int]) -> None:
        begun = {(topic, partition): first for partition, first in first_offsets.items()}
        self.contents.positions = begun | self.contents.positions


class MemoryUnitOfWork:
    """A UnitOfWork on a copy, which replaces the contents when it is committed."""

    def __init__(self, contents: Contents) -> None:
        self.contents = copy.copy(contents)
        self.committed = False

    async def lock(self, needs: Needs) -> Books:
        # Of the state that decisions mutate the unit works on copies of its own.
        kept = self.contents
        books = Books(auto_open=dict.fromkeys(kept.closed_to_strangers, False))
        kept.tenants = kept.tenants | needs.tenants
        books.providers = {key for key in needs.providers if _is_provider(kept, key)}
        books.holds = {key: _hold(kept, key) for key in needs.holds if key in kept.holds}
        books.originals = {
            key: copy.copy(kept.originals[key]) for key in needs.originals if key in kept.originals
        }
        keys = needs.balances | _keys_behind(books)
        keys |= {key for key in kept.balances if key[:2] in needs.closing}
        for name in needs.accounts | {key[:2] for key in keys}:
            if name in kept.accounts:
                books.accounts[name] = copy.copy(kept.accounts[name])
        for key in sorted(keys):
            if key in kept.balances:
                balance = books.balances[key] = copy.copy(kept.balances[key])
                balance.account = books.accounts[key[:2]]
                balance.changed = False
        return books

    async def claim(self, events: Sequence[Event], at: Sequence[datetime]) -> Mapping[EventKey, Earlier]:
        return {
            event.identity: self.contents.processed[event.identity]
            for event in events
            if event.identity in self.contents.processed
        }

    async def recall(self, events: Sequence[Event], earlier: Mapping[EventKey, Earlier]) -> list[Outcome]:
        return [self._recall(event, earlier[event.identity]) for event in events]

    def _recall(self, event: Event, earlier: Earlier) -> Outcome:
        transaction = self.contents.transactions.get(event.identity)
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
        hold = self.contents.holds.get((event.tenant, hold_of(event) or ""))
        return None if hold is None else view_of(hold)

    def _payment_view(self, event: Event) -> PaymentView | None:
        payment = self.contents.payments.get(event.identity)
        return None if payment is None else PaymentView(payment.saga.id, payment.saga.state)

    async def write(self, books: Books, decided: Sequence[Outcome], letters: Sequence[DeadLetter]) -> None:
        self._write_changes(books, books.changes)
        kept = self.contents
        kept.processed = kept.processed | {
            outcome.event.identity: _remembered(outcome) for outcome in decided
        }
        kept.types = kept.types | {outcome.event.identity: outcome.event.type for outcome in decided}
        kept.opened_at = kept.opened_at | _dated(books.changes.opened, decided)
        kept.closed_at = kept.closed_at | _dated(books.changes.closed, decided)
        fresh = {(at.record.topic, at.record.partition, at.record.offset): at for at in letters}
        kept.dead_letters = fresh | kept.dead_letters

    def _write_changes(self, books: Books, changes: Changes) -> None:
        kept = self.contents
        touched = {(account.tenant, account.code): account for account in changes.opened + changes.closed}
        kept.accounts = kept.accounts | touched
        kept.balances = kept.balances | {
            (balance.account.tenant, balance.account.code, balance.asset): balance
            for balance in changes.balances
        }
        placed = {(hold.tenant, hold.id): hold for hold in changes.holds_placed}
        for hold in placed.values():
            hold.row_exists = True
        kept.holds = kept.holds | placed | changes.holds_changed
        requested = {payment.key: payment for payment in map(payment_of, changes.payments)}
        kept.payments = kept.payments | requested
        lines = {key: (first_line(payment),) for key, payment in requested.items()}
        kept.payment_lines = kept.payment_lines | lines
        posted = {(each.tenant, each.id): each for each in changes.transactions}
        kept.transactions = kept.transactions | posted
        fresh = {key: original_of(each) for key, each in posted.items()}
        kept.originals = kept.originals | fresh | changes.reversals

    async def advance(self, position: Position) -> None:
        key = (position.topic, position.partition)
        reached = self.contents.positions.get(key, 0)
        if reached < position.first:
            raise PositionGapError(*key, reached, position.first)
        self.contents.positions = self.contents.positions | {key: max(reached, position.next)}

    async def commit(self) -> None:
        self.committed = True


def _is_provider(kept: Contents, key: ProviderKey) -> bool:
    tenant, name = key
    if name.startswith(LEDGER_PREFIX):
        return name.removeprefix(LEDGER_PREFIX) in kept.tenants - {tenant}
    return key in kept.providers


def _hold(kept: Contents, key: EventKey) -> Hold:
    hold = copy.copy(kept.holds[key])
    if hold.guard is not None:
        saga = kept.payments[key].saga
        hold.guard = msgspec.structs.replace(hold.guard, event_id=saga.event_id, step=saga.step)
    return hold


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
