"""Sagas in PostgreSQL: claimed, read and stored with their timelines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.due_lanes import DueLanes
from ledger.adapters.postgres.payment_rows import payment, saga_json, text
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.application.payment_lanes import ends_at
from ledger.application.payment_ports import (
    Answered,
    BooksSay,
    Change,
    EventKey,
    EventOutcome,
    LaneName,
    LaneRoom,
    Payment,
    PaymentKey,
    Room,
    StateCount,
)
from ledger.application.payment_verdicts import books_say
from ledger.domain.payments.saga import Saga, State
from ledger.domain.payments.steps import Verdict
from ledger.observability.signals import Signals


class PostgresPayments:
    """A PaymentStore over a pool in the worker's role."""

    def __init__(self, pool: Pool, signals: Signals | None = None) -> None:
        self._pool = pool
        self._signals = signals or Signals()
        self._due = DueLanes(self._fetch)

    async def claim(self, now: datetime, until: datetime, room: Room) -> Sequence[Payment]:
        await self._due.look(now)
        lanes = self._due.open(room)
        rows = await self._fetch("claim_payments", now, until, room.in_all, *_rooms(lanes))
        self._due.taken(lanes, room.in_all, ((row["tenant"], row["lane"]) for row in rows))
        return [found for _, found in self._readable(rows)]

    async def load(self, keys: Sequence[PaymentKey]) -> Sequence[Payment]:
        rows = await self._fetch("load_payments", *_columns(keys))
        return [found for _, found in self._readable(rows)]

    async def answered(
        self, keys: Sequence[PaymentKey], events: Sequence[EventKey] = ()
    ) -> Sequence[Answered]:
        rows = await self._fetch("find_answered_payments", *_columns(keys), *_columns(events))
        return [Answered(found, _said(row)) for row, found in self._readable(rows)]

    async def outcomes(self, keys: Sequence[EventKey]) -> Mapping[EventKey, EventOutcome]:
        rows = await self._fetch("find_outcomes", *_columns(keys))
        return {EventKey(row["tenant"], row["event_id"]): _outcome(row) for row in rows}

    async def apply(self, changes: Sequence[Change]) -> Sequence[Payment | None]:
        if not changes:
            return []
        rows = await self._fetch("store_payments", *_saga_columns(changes), *_line_columns(changes))
        stored = {row["ordinal"] - 1 for row in rows}
        return [_stored(each) if index in stored else None for index, each in enumerate(changes)]

    async def counts(self) -> Sequence[StateCount]:
        rows = await self._fetch("count_payments")
        return [
            StateCount(State(row["state"]), row["payments"], row["oldest"], row["contradicted"])
            for row in rows
        ]

    def _readable(self, rows: Iterable[Any]) -> Iterator[tuple[Any, Payment]]:
        """Give payments with their rows; one that cannot be read keeps no other from being read."""
        for row in rows:
            try:
                yield row, payment(row)
            except (msgspec.MsgspecError, ValueError, RecursionError) as fault:
                who = {"tenant": row["tenant"], "payment": row["event_id"]}
                self._signals.emit("payment.unreadable", **who, fault=str(fault))

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        with transient_faults():
            async with self._pool.acquire() as connection:
                found: list[Any] = await connection.fetch(sql(statement), *arguments)
                return found


def _said(row: Any) -> BooksSay:
    return books_say(
        row["event_id"],
        publishes=row["publishes"],
        step=row["step"],
        fingerprint=row["fingerprint"],
        kind=row["kind"],
        reason=row["reason"],
        hold=row["hold"],
    )


def _outcome(row: Any) -> EventOutcome:
    if row["was_forgotten"]:
        return EventOutcome(posted=True, reason=None, fingerprint=None)
    return EventOutcome(row["kind"] == "posted", row["reason"], row["fingerprint"])


def _rooms(lanes: Mapping[LaneName, LaneRoom]) -> list[list[Any]]:
    return [
        [tenant for tenant, _ in lanes],
        [name for _, name in lanes],
        [room.payments for room in lanes.values()],
        [room.only_new for room in lanes.values()],
    ]


def _columns(keys: Sequence[PaymentKey | EventKey]) -> tuple[list[str], list[str]]:
    return [key.tenant for key in keys], [key.id for key in keys]


def _saga_columns(changes: Sequence[Change]) -> list[list[Any]]:
    sagas: list[Saga] = [each.saga for each in changes]
    return [
        *_columns([each.before.key for each in changes]),
        [each.before.version for each in changes],
        [saga.state for saga in sagas],
        [saga.step for saga in sagas],
        [saga.event_id for saga in sagas],
        [saga.next_at for saga in sagas],
        [ends_at(saga) for saga in sagas],
        [saga_json(saga) for saga in sagas],
    ]


def _line_columns(changes: Sequence[Change]) -> list[list[Any]]:
    lines = [each.line for each in changes]
    return [
        [line.at for line in lines],
        [line.happening for line in lines],
        [Verdict(line.verdict) for line in lines],
        [",".join(line.commands) for line in lines],
        [line.attempt for line in lines],
        [line.begins for line in lines],
        [line.event_id for line in lines],
        [line.next_at for line in lines],
        [text(line.detail) for line in lines],
        [text(line.by) for line in lines],
    ]


def _stored(change: Change) -> Payment:
    before = change.before
    return Payment(
        saga=change.saga, terms=before.terms, version=before.version + 1, created_at=before.created_at
    )
