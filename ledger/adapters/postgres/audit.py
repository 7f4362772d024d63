"""The books, audited in SQL over one snapshot."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ledger.adapters.postgres.connection import LONG_S, transient_faults
from ledger.adapters.postgres.dead_letters import headers_of
from ledger.adapters.postgres.directory import json_text
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.adapters.postgres.writing import headers_json
from ledger.application.verify_books import OFFSET_MAX, Handled, StoredLetter
from ledger.contract.dead_letter import Header
from ledger.domain.audit import VIOLATIONS_SHOWN_MAX, Check
from ledger.domain.commands import Event
from ledger.domain.comparing import StoredEvent, StoredHold, StoredPayment, StoredTransaction, metadata_of

ROWS_MAX = 20_000
"""More than a run of records can account for: what is left out of so many was invented, as others among them."""

_LIMITS = """
    set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0;
    set local work_mem = '64MB'
"""


class PostgresAuditor:
    """An Auditor over one repeatable-read transaction, which sees no batch half."""

    def __init__(self, connection: Connection, tenants: dict[int, str]) -> None:
        self._connection = connection
        self._tenants = tenants
        self._tenant_ids = {code: tenant_id for tenant_id, code in tenants.items()}
        self._seen: dict[int, _FirstSeen] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, pool: Pool) -> AsyncIterator["PostgresAuditor"]:
        with transient_faults():
            async with (
                pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute(_LIMITS)
                rows = await connection.fetch("select tenant_id, code from tenants")
                yield cls(connection, {row["tenant_id"]: row["code"] for row in rows})

    async def check(self, name: str) -> Check:
        count = await self._connection.fetchval(sql(f"audit_{name}_count"), timeout=LONG_S)
        rows = await self._connection.fetch(sql(f"audit_{name}"), timeout=LONG_S)
        return Check(name, count, [self._violation(row) for row in rows])

    def _violation(self, row: Any) -> dict[str, Any]:
        facts = {name: value for name, value in row.items() if value is not None and name != "tenant_id"}
        return {**facts, "tenant": self._tenants.get(row["tenant_id"], row["tenant_id"])}

    async def positions(self, topic: str) -> dict[int, int]:
        rows = await self._connection.fetch(sql("audit_positions"), topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def strays(self, topic: str, partitions: Collection[int]) -> list[dict[str, Any]]:
        rows = await self._connection.fetch(sql("audit_strays"), topic, list(partitions), timeout=LONG_S)
        return [{"verdict": "more", **self._stray(row)} for row in rows]

    def _stray(self, row: Any) -> dict[str, Any]:
        return {name: value for name, value in self._violation(row).items() if value is not None}

    async def _first_seen(self, topic: str, partition: int, offsets: tuple[int, int]) -> list[Any]:
        """Go on in the one pass over a partition, whose runs are asked for in order: no index serves this."""
        first, last = offsets
        if partition not in self._seen:
            cursor = await self._connection.cursor(
                sql("audit_first_seen"), topic, partition, first, timeout=LONG_S
            )
            self._seen = {partition: _FirstSeen(cursor)}  # no partition is come back to
        return await self._seen[partition].up_to(last)

    async def handled(
        self, topic: str, partition: int, offsets: tuple[int, int], events: Sequence[Event]
    ) -> Handled:
        seen = await self._first_seen(topic, partition, offsets)
        limit = VIOLATIONS_SHOWN_MAX if offsets[1] == OFFSET_MAX else ROWS_MAX  # they may be large
        dead = await self._connection.fetch(
            sql("audit_dead_letters"), topic, partition, *offsets, limit, timeout=LONG_S
        )
        return Handled(
            await self._stored(events),
            [(row["offset"], (self._tenants.get(row["tenant_id"], ""), row["event_id"])) for row in seen],
            {row["offset"]: _letter(row) for row in dead},
        )

    async def _stored(self, events: Sequence[Event]) -> dict[int, StoredEvent]:
        if not events:
            return {}
        rows = await self._connection.fetch(
            sql("audit_handled"),
            [event.id for event in events],
            [self._tenant_ids.get(event.tenant) for event in events],
            [json_text(metadata_of(event.command)) for event in events],
            timeout=LONG_S,
        )
        offsets = [event.offset or 0 for event in events]
        return {offsets[row["ordinal"] - 1]: _event(row) for row in rows}


def _event(row: Any) -> StoredEvent:
    return StoredEvent(
        row["topic"],
        row["partition"],
        row["offset"],
        row["fingerprint"],
        row["type"],
        row["kind"],
        None if row["transaction_type"] is None else _transaction(row),
        None if row["debit"] is None else _hold(row),
        None if row["provider"] is None else _payment(row),
    )


def _transaction(row: Any) -> StoredTransaction:
    return StoredTransaction(
        row["transaction_type"],
        row["posted_at"],
        row["effective_at"],
        row["reference"],
        row["metadata_stands"],
        row["reverses"],
        row["captures"],
        list(zip(row["accounts"] or (), row["assets"] or (), row["amounts"] or (), strict=True)),
    )


def _hold(row: Any) -> StoredHold:
    return StoredHold(
        row["debit"],
        row["credit"],
        row["asset"],
        row["amount"],
        row["expires_at"],
        row["hold_reference"],
    )


def _payment(row: Any) -> StoredPayment:
    return StoredPayment(row["provider"], row["fee_account"], row["fee_amount"], row["deadline"])


def _letter(row: Any) -> StoredLetter:
    return StoredLetter(
        row["key"], row["value"], _headers(row["headers"]), row["timestamp_ms"], row["reason"]
    )


def _headers(text: str) -> tuple[Header, ...] | None:
    """Read headers that were written by the ledger; gives None for anything else."""
    try:
        headers = headers_of(text)
        return headers if headers_json(headers) == text else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


class _FirstSeen:
    """What a partition's events say of where they were first seen, in the order of offsets."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._waiting: list[Any] = []

    async def up_to(self, last: int) -> list[Any]:
        """Take what comes up to the offset `last`, and no more than could come of any run of records."""
        while (not self._waiting or self._waiting[-1]["offset"] <= last) and len(self._waiting) < ROWS_MAX:
            more = await self._cursor.fetch(5000)
            if not more:
                break
            self._waiting += more
        taken = [row for row in self._waiting if row["offset"] <= last]
        self._waiting = self._waiting[len(taken) :]
        return taken
