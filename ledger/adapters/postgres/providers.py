"""The providers of each tenant, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.directory import json_text
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool


class PostgresProviders:
    """A ProviderDirectory over a pool in the worker's role; a tenant that is new is made as its first event would."""

    def __init__(self, pool: Pool, *, auto_open: bool = True) -> None:
        self._pool = pool
        self._auto_open = auto_open

    async def find(self, tenant: str, name: str) -> Mapping[str, Any] | None:
        with transient_faults():
            found = await self._pool.fetchval(sql("find_provider"), tenant, name)
        return None if found is None else _settings(found)

    async def put(self, tenant: str, name: str, settings: Mapping[str, Any]) -> None:
        with transient_faults():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(sql("insert_tenants"), [tenant], self._auto_open)
                await connection.execute(sql("put_provider"), tenant, name, json_text(settings))

    async def remove(self, tenant: str, name: str) -> bool:
        with transient_faults():
            return await self._pool.fetchval(sql("remove_provider"), tenant, name) is not None

    async def all(self) -> Sequence[tuple[str, str, Mapping[str, Any]]]:
        with transient_faults():
            rows = await self._pool.fetch(sql("list_providers"))
        return [(row["tenant"], row["name"], _settings(row["settings"])) for row in rows]


def _settings(found: str) -> Mapping[str, Any]:
    return msgspec.json.decode(found, type=dict[str, Any])
