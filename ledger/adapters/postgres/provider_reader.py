"""Providers and the breakers of the workers: told by the workers, read by the API and by operators."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.payment_reader import Connect
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.postgres.types import Pool
from ledger.application.breaker import BreakerState
from ledger.application.provider_reading import BreakerTold, ProviderShown, origin


class PostgresBreakerBoard:
    """A BreakerBoard over a pool in the worker's role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def tell(self, worker: str, breakers: Sequence[BreakerTold], forget_before: datetime) -> None:
        columns = [
            [each.tenant for each in breakers],
            [each.provider for each in breakers],
            [each.state.value for each in breakers],
            [each.since for each in breakers],
            [each.retry_at for each in breakers],
            [each.calls for each in breakers],
            [each.bad for each in breakers],
            [each.told_at for each in breakers],
        ]
        with transient_faults():
            await self._pool.execute(sql("tell_breakers"), worker, forget_before, *columns)


class PostgresProviderReader:
    """A ProviderReader; what its connections may see is all that it finds."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    @classmethod
    def of_tenant(cls, pool: TenantPool, tenant_id: int) -> "PostgresProviderReader":
        """Read in the API's role, what one tenant may see."""
        return cls(lambda: pool.for_tenant(tenant_id))

    @classmethod
    def of_all(cls, pool: Pool) -> "PostgresProviderReader":
        """Read in the worker's role, for operators."""
        return cls(pool.acquire)

    async def providers(self) -> Sequence[ProviderShown]:
        return [_shown(row) for row in await self._fetch("list_providers")]

    async def breakers(self, since: datetime) -> Sequence[BreakerTold]:
        rows = await self._fetch("read_breakers", since)
        return [BreakerTold(**{**row, "state": BreakerState(row["state"])}) for row in rows]

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        with transient_faults():
            async with self._connect() as connection:
                found: list[Any] = await connection.fetch(sql(statement), *arguments)
                return found


def _shown(row: Any) -> ProviderShown:
    settings = msgspec.json.decode(row["settings"], type=dict[str, Any])
    when_down = str(settings.get("when_down", "wait"))
    return ProviderShown(
        tenant=row["tenant"], name=row["name"], url=origin(str(settings.get("url", ""))), when_down=when_down
    )
