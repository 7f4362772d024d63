"""Where events came from, as PostgreSQL remembers it."""

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.application.dead_letters import Place


class PostgresOrigins:
    """Origins over a pool in the worker's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def place_of(self, tenant: str, event_id: str) -> Place | None:
        with transient_faults():
            rows = await self._pool.fetch(sql("find_precedents"), [tenant], [event_id])
        if not rows or rows[0]["topic"] is None or rows[0]["offset"] is None:
            return None
        return Place(rows[0]["topic"], rows[0]["partition"], rows[0]["offset"])
