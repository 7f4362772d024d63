"""Payments beside the books in memory: their sagas, timelines and providers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ledger.adapters.memory.books import Contents, MemoryBooks
from ledger.application.payment_lanes import ends_by_itself, lane_of
from ledger.application.payment_ports import (
    Answered,
    BooksSay,
    Change,
    EventKey,
    EventOutcome,
    LaneName,
    LaneRoom,
    NumberedLine,
    Payment,
    PaymentKey,
    Room,
    StateCount,
)
from ledger.application.payment_verdicts import books_say
from ledger.domain.payments.saga import State


class MemoryPayments:
    """A PaymentStore, PaymentReader and ProviderDirectory over books in memory."""

    def __init__(self, books: MemoryBooks) -> None:
        self._books = books

    @property
    def _kept(self) -> Contents:
        return self._books.contents

    async def claim(self, now: datetime, until: datetime, room: Room) -> Sequence[Payment]:
        due = sorted(
            (at, key)
            for key in self._kept.payments
            if (at := self._due_at(key)) is not None
            and at <= now
            and not self._books.locks.is_held(("payment", key))
        )
        keys = with_room([self._kept.payments[key] for _, key in due], room, now)
        self._kept.claimed_until = self._kept.claimed_until | dict.fromkeys(keys, until)
        return [self._kept.payments[key] for key in keys]

    def _due_at(self, key: tuple[str, str]) -> datetime | None:
        next_at = self._kept.payments[key].saga.next_at
        return None if next_at is None else self._kept.claimed_until.get(key, next_at)

    async def load(self, keys: Sequence[PaymentKey]) -> Sequence[Payment]:
        return [self._kept.payments[key] for key in keys if key in self._kept.payments]

    async def answered(
        self, keys: Sequence[PaymentKey], events: Sequence[EventKey] = ()
    ) -> Sequence[Answered]:
        waiting = [
            payment
            for key, payment in self._kept.payments.items()
            if key in keys or (key[0], payment.saga.event_id) in events
        ]
        found = [(payment, self._said(payment.key)) for payment in waiting]
        return [Answered(payment, said) for payment, said in found if said is not None]

    def _said(self, key: PaymentKey) -> BooksSay | None:
        payment = self._kept.payments[key]
        if payment.saga.event_id is None:
            return None
        found = self._kept.processed.get((key.tenant, payment.saga.event_id))
        if found is None:
            return None
        return books_say(
            key.id,
            publishes=payment.saga.event_id,
            step=payment.saga.step,
            fingerprint=found.fingerprint,
            kind=found.kind,
            reason=found.reason,
            hold=self._kept.holds[key].state,
        )

    async def outcomes(self, keys: Sequence[EventKey]) -> Mapping[EventKey, EventOutcome]:
        found = {key: self._kept.processed[key] for key in keys if key in self._kept.processed}
        return {
            key: EventOutcome(each.kind == "posted", each.reason, each.fingerprint)
            for key, each in found.items()
        }

    async def apply(self, changes: Sequence[Change]) -> Sequence[Payment | None]:
        statement, locks = object(), self._books.locks
        keys = sorted((each.before.key for each in changes), key=lambda key: (key.id, key.tenant))
        try:
            await locks.take_all(statement, [("payment", key) for key in keys])
            return [self._apply(change) for change in changes]
        finally:
            locks.release(statement)

    def _apply(self, change: Change) -> Payment | None:
        key, kept = change.before.key, self._kept
        lines = kept.payment_lines[key]
        begun = {line.attempt for line in lines if line.begins}
        if kept.payments[key].version != change.before.version:
            return None
        if change.line.begins and change.line.attempt in begun:
            return None
        stored = msgspec.structs.replace(change.before, saga=change.saga, version=change.before.version + 1)
        kept.payments = kept.payments | {key: stored}
        kept.payment_lines = kept.payment_lines | {key: (*lines, change.line)}
        kept.claimed_until = {each: until for each, until in kept.claimed_until.items() if each != key}
        return stored

    async def counts(self) -> Sequence[StateCount]:
        found: dict[State, list[Payment]] = {}
        for payment in self._kept.payments.values():
            if not payment.saga.state.is_end:
                found.setdefault(payment.saga.state, []).append(payment)
        return [_count(state, payments) for state, payments in found.items()]

    # What readers see

    async def payment(self, key: PaymentKey) -> Payment | None:
        return self._kept.payments.get(key)

    async def payments(
        self, tenant: str | None, states: Sequence[State], before: PaymentKey | None, limit: int
    ) -> Sequence[Payment]:
        found = [
            each
            for each in self._kept.payments.values()
            if tenant in (None, each.key.tenant)
            and (not states or each.saga.state in states)
            and (before is None or _place(each.key) < _place(before))
        ]
        return sorted(found, key=lambda each: _place(each.key), reverse=True)[:limit]

    async def tenants_of(self, payment_id: str) -> Sequence[str]:
        return sorted(tenant for tenant, known in self._kept.payments if known == payment_id)

    async def timeline(self, key: PaymentKey, after: int, limit: int) -> Sequence[NumberedLine]:
        lines = enumerate(self._kept.payment_lines.get(key, ()), start=1)
        return [NumberedLine(number, line) for number, line in lines if number > after][:limit]

    # Providers

    async def find(self, tenant: str, name: str) -> Mapping[str, Any] | None:
        return self._kept.providers.get((tenant, name))

    async def put(self, tenant: str, name: str, settings: Mapping[str, Any]) -> None:
        self._kept.tenants = self._kept.tenants | {tenant}
        self._kept.providers = self._kept.providers | {(tenant, name): dict(settings)}

    async def remove(self, tenant: str, name: str) -> bool:
        was_there = (tenant, name) in self._kept.providers
        self._kept.providers = {
            key: settings for key, settings in self._kept.providers.items() if key != (tenant, name)
        }
        return was_there

    async def all(self) -> Sequence[tuple[str, str, Mapping[str, Any]]]:
        return [(*key, settings) for key, settings in sorted(self._kept.providers.items())]


def with_room(due: Sequence[Payment], room: Room, now: datetime) -> list[PaymentKey]:
    """Choose what a claim takes, of payments that are due."""
    ending = [each.key for each in due if ends_by_itself(each.saga, now)][: room.in_all]
    taken: dict[PaymentKey, None] = {}
    by_lane: Counter[LaneName] = Counter()
    for payment in sorted(due, key=_is_new):
        lane = lane_of(payment)
        left = room.lanes.get(lane, LaneRoom(room.a_lane if lane[1] else room.in_all))
        fits = by_lane[lane] < left.payments and len(taken) < room.in_all
        if fits and (_is_new(payment) or not left.only_new):
            by_lane[lane] += 1
            taken[payment.key] = None
    return [each.key for each in due if each.key in taken or each.key in ending]


def _is_new(payment: Payment) -> bool:
    return payment.saga.state is State.FUNDS_HELD


def _place(key: PaymentKey) -> tuple[str, str]:
    return key.id, key.tenant


def _count(state: State, payments: Sequence[Payment]) -> StateCount:
    contradicted = sum(bool(each.saga.contradictions) for each in payments)
    return StateCount(state, len(payments), min(each.created_at for each in payments), contradicted)
