"""What legs to other tenants need of the database."""

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.legs import LegIds


async def leg_ids(database: Pool | Connection) -> LegIds:
    """Give the ids of legs, under the secret of this database; raises TransientFaultError."""
    with transient_faults():
        return LegIds(await database.fetchval(sql("read_leg_secret")))
