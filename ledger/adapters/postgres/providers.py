"""The providers of each tenant, in PostgreSQL: their secrets only sealed."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.directory import json_text
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.adapters.sealing import Seals
from ledger.application.payment_ports import SealError

SECRETS = "secrets"
"""The one member of the settings that is kept sealed, beside the others."""


class PostgresProviders:
    """A ProviderDirectory over a pool in the worker's role; a tenant that is new is made as its first event would."""

    def __init__(self, pool: Pool, seals: Seals, *, auto_open: bool) -> None:
        self._pool = pool
        self._seals = seals
        self._auto_open = auto_open

    async def find(self, tenant: str, name: str) -> Mapping[str, Any] | None:
        with transient_faults():
            found = await self._pool.fetchrow(sql("find_provider"), tenant, name)
        if found is None:
            return None
        settings, sealed = _settings(found["settings"]), found["sealed_secrets"]
        return settings if sealed is None else {**settings, SECRETS: self._seals.open(tenant, name, sealed)}

    async def put(self, tenant: str, name: str, settings: Mapping[str, Any]) -> None:
        shown = {member: value for member, value in settings.items() if member != SECRETS}
        secrets = settings.get(SECRETS)
        sealed = None if secrets is None else self._seals.seal(tenant, name, secrets)
        with transient_faults():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(sql("insert_tenants"), [tenant], self._auto_open)
                await connection.execute(sql("put_provider"), tenant, name, json_text(shown), sealed)

    async def remove(self, tenant: str, name: str) -> bool:
        with transient_faults():
            return await self._pool.fetchval(sql("remove_provider"), tenant, name) is not None

    async def all(self) -> Sequence[tuple[str, str, Mapping[str, Any]]]:
        with transient_faults():
            rows = await self._pool.fetch(sql("list_providers"))
        return [(row["tenant"], row["name"], _settings(row["settings"])) for row in rows]

    async def seal_anew(self) -> int:
        """Seal all secrets with the first of the keys; gives how many providers have some.

        Raises SealError for the first that does not open; then none is changed.
        """
        with transient_faults():
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(sql("lock_sealed_secrets"))
                sealed = [
                    self._sealed_anew(row["tenant"], row["name"], row["sealed_secrets"]) for row in rows
                ]
                await connection.execute(
                    sql("seal_anew"), [row["tenant"] for row in rows], [row["name"] for row in rows], sealed
                )
        return len(rows)

    def _sealed_anew(self, tenant: str, name: str, sealed: str) -> str:
        try:
            return self._seals.seal(tenant, name, self._seals.open(tenant, name, sealed))
        except SealError as fault:
            raise SealError(f"{tenant}/{name}: {fault}") from fault


def _settings(found: str) -> Mapping[str, Any]:
    return msgspec.json.decode(found, type=dict[str, Any])
