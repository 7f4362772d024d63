"""What the books in PostgreSQL know of events that were decided before."""

from collections.abc import Mapping, Sequence

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier
from ledger.domain.rejection import Reason


class PostgresPrecedents:
    """Precedents over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        if not events:
            return {}
        keys = [event.tenant for event in events], [event.id for event in events]
        with transient_faults():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(sql("find_precedents"), *keys)
        return {
            (row["tenant"], row["event_id"]): Earlier(
                row["fingerprint"],
                row["kind"],
                row["posted_at"],
                row["topic"],
                row["partition"],
                row["offset"],
                reason=Reason(row["reason"]) if row["reason"] else None,
                detail=row["detail"],
            )
            for row in rows
        }
