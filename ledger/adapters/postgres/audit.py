"""The books, audited in SQL over one snapshot."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.verify_books import Handled
from ledger.domain.audit import Check
from ledger.domain.commands import Event


class PostgresAuditor:
    """An Auditor over one repeatable-read transaction, which sees no batch half."""

    def __init__(self, connection: Connection, tenants: dict[int, str]) -> None:
        self._connection = connection
        self._tenants = tenants
        self._seen: dict[int, _FirstSeen] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, pool: Pool) -> AsyncIterator["PostgresAuditor"]:
        with transient_faults():
            async with (
                pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute("set local statement_timeout = 0; set local work_mem = '64MB'")
                rows = await connection.fetch("select tenant_id, code from tenants")
                yield cls(connection, {row["tenant_id"]: row["code"] for row in rows})

    async def check(self, name: str) -> Check:
        count = await self._connection.fetchval(sql(f"audit_{name}_count"), timeout=None)
        rows = await self._connection.fetch(sql(f"audit_{name}"), timeout=None)
        return Check(name, count, [self._violation(row) for row in rows])

    def _violation(self, row: Any) -> dict[str, Any]:
        facts = {name: value for name, value in row.items() if value is not None and name != "tenant_id"}
        return {**facts, "tenant": self._tenants.get(row["tenant_id"], row["tenant_id"])}

    async def positions(self, topic: str) -> dict[int, int]:
        rows = await self._connection.fetch(sql("audit_positions"), topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def _first_seen(self, partition: int, first: int, end: int) -> list[Any]:
        """Go on in the one pass over a partition, whose runs are asked for in order: no index serves this."""
        if partition not in self._seen:
            cursor = await self._connection.cursor(sql("audit_first_seen"), partition, first, timeout=None)
            self._seen[partition] = _FirstSeen(cursor)
        return await self._seen[partition].before(end)

    async def handled(
        self, topic: str, partition: int, offsets: tuple[int, int], events: Sequence[Event]
    ) -> Handled:
        ids = [event.id for event in events]
        known = await self._connection.fetch(sql("audit_handled"), ids, [event.tenant for event in events])
        seen = await self._first_seen(partition, *offsets)
        dead = await self._connection.fetch(sql("audit_dead_letters"), topic, partition, *offsets)
        return Handled(
            {(row["tenant"], row["event_id"]): row["fingerprint"] for row in known},
            {row["offset"]: (row["tenant"], row["event_id"]) for row in seen if row["offset"] >= offsets[0]},
            {row["offset"]: row["value"] for row in dead},
        )


class _FirstSeen:
    """What a partition's events say of where they were first seen, in the order of offsets."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._waiting: list[Any] = []

    async def before(self, end: int) -> list[Any]:
        """Take what comes before offset `end`."""
        while not self._waiting or self._waiting[-1]["offset"] < end:
            more = await self._cursor.fetch(5000)
            if not more:
                break
            self._waiting += more
        taken = [row for row in self._waiting if row["offset"] < end]
        self._waiting = self._waiting[len(taken) :]
        return taken
