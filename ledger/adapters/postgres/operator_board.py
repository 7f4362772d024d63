"""What waits for operators, counted in PostgreSQL."""

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.application.operator_counts import OperatorCounts


class PostgresOperatorBoard:
    """An OperatorBoard over a pool in the worker's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def counts(self) -> OperatorCounts:
        with transient_faults():
            async with self._pool.acquire() as connection:
                [letters] = await connection.fetch(sql("count_dead_letters"))
                [payments] = await connection.fetch(sql("look_at_payments"))
        return OperatorCounts(letters["open"], payments["stuck"], payments["overdue"])
