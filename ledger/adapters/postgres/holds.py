"""Holds past their time, found in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.application.expire_holds import ExpiredHold


class PostgresHolds:
    """Holds over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def expired(self, now: datetime, limit: int) -> Sequence[ExpiredHold]:
        with transient_faults():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(sql("expired_holds"), now, limit)
        return [ExpiredHold(row["tenant"], row["event_id"], row["debit"], row["expires_at"]) for row in rows]
