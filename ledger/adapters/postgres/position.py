"""How far the books have come in their topic, in PostgreSQL."""

import asyncio

import asyncpg

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.application.faults import TransientFaultError
from ledger.application.pipeline import BooksStand

ANSWER_S = 2.0
"""Who watches is told soon that the books do not answer."""


class PostgresPosition:
    """A BooksWatch over a pool in the worker's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def look(self, topic: str) -> BooksStand:
        with transient_faults():
            try:
                async with asyncio.timeout(ANSWER_S):
                    rows = await self._pool.fetch(sql("look_at_position"), topic)
            except asyncpg.PostgresError as error:
                # Without the tables, or the role, there are no books to be read here.
                raise TransientFaultError(f"{type(error).__name__}: {error}") from error
        positions = {row["partition"]: row["next_offset"] for row in rows}
        return BooksStand(positions, max((row["moved_at"] for row in rows), default=None))
