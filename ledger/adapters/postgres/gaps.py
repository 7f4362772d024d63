"""The books' positions in PostgreSQL, moved past records that are lost."""

from collections.abc import Mapping

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.application.gaps import Acceptance, BooksMovedError, Gap


class PostgresPositions:
    """BooksPositions over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def positions(self, topic: str) -> Mapping[int, int]:
        with transient_faults():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(sql("audit_positions"), topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def accept(self, gap: Gap, acceptance: Acceptance) -> None:
        place = (gap.topic, gap.partition, gap.first, gap.next)
        with transient_faults():
            async with self._pool.acquire() as connection:
                moved = await connection.fetchval(
                    sql("accept_gap"), *place, acceptance.why, acceptance.by, acceptance.at
                )
        if moved is None:
            raise BooksMovedError(f"the books no longer stand at {gap.topic}/{gap.partition}/{gap.first}.")
