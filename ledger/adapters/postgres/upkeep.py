"""Upkeep of the books that a worker may do: partitions of time, made ahead of the ids that will need them."""

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.types import Pool


async def make_partitions_ahead(pool: Pool, months: int) -> int:
    """Make the partitions from this month to `months` ahead; returns how many were missing."""
    with transient_faults():
        async with pool.acquire() as connection:
            return int(await connection.fetchval("select make_event_partitions(now(), $1)", months))
