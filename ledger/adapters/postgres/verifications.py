"""The verdict of the last verification in PostgreSQL, where every process of the API finds it."""

from msgspec.structs import replace

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.application.reports import Verification, decode_verification, encode_verification


class PostgresVerifications:
    """Verifications over a pool in the worker's role; each was found when it was kept, by the database's clock."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep(self, verification: Verification) -> None:
        told = encode_verification(verification).decode()
        with transient_faults():
            async with self._pool.acquire() as connection:
                await connection.execute(sql("keep_verification"), told)

    async def last(self) -> Verification | None:
        with transient_faults():
            async with self._pool.acquire() as connection:
                row = await connection.fetchrow(sql("read_verification"))
        found = None if row is None else decode_verification(row["verdict"].encode())
        return None if row is None or found is None else replace(found, at=row["at"])
