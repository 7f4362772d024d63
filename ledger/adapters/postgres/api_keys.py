"""Keys of the API in PostgreSQL: as the API sees them, one at a time, and as those who make them do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.postgres.types import Pool
from ledger.application.api_keys import ApiKey, KeyWish

SESSIONS_MAX = 200
"""Of a key so many sessions that were signed out of are kept, those that would last longest."""


class PostgresKeyReader:
    """A KeyReader in the API's role, which sees the key that was presented."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def presented(self, key_id: str) -> ApiKey | None:
        async with self._pool.connection() as connection, connection.transaction():
            await connection.fetchval(sql("present_key"), key_id)
            row = await connection.fetchrow(sql("find_presented_key"), key_id)
            if row is None:
                return None
            return _key(row, await connection.fetchval(sql("find_tenant_code"), row["tenant_id"]))

    async def used(self, key_id: str) -> None:
        async with self._pool.connection() as connection, connection.transaction():
            await connection.fetchval(sql("present_key"), key_id)
            await connection.execute(sql("use_key"), key_id)

    async def end_session(self, key_id: str, mark: str) -> None:
        async with self._pool.connection() as connection, connection.transaction():
            await connection.fetchval(sql("present_key"), key_id)
            await connection.execute(sql("end_session"), key_id, mark, SESSIONS_MAX)


class PostgresKeyStore:
    """A KeyStore over a pool in the worker's role."""

    def __init__(self, pool: Pool, *, auto_open: bool) -> None:
        self._pool = pool
        self._auto_open = auto_open

    async def add(self, key_id: str, secret_hmac: bytes, wish: KeyWish, at: datetime, by: str) -> bool:
        with transient_faults():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(sql("insert_tenants"), [wish.tenant], self._auto_open)
                added = await connection.fetchval(
                    sql("insert_api_key"),
                    key_id,
                    wish.tenant,
                    wish.name,
                    secret_hmac,
                    sorted(wish.scopes),
                    at,
                    by,
                    wish.expires_at,
                )
        return added is not None

    async def find(self, tenant: str | None, key_id: str | None) -> Sequence[ApiKey]:
        with transient_faults():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(sql("find_api_keys"), tenant, key_id)
        return [_key(row, row["tenant"]) for row in rows]

    async def revoke(self, key_id: str, at: datetime) -> None:
        with transient_faults():
            async with self._pool.acquire() as connection:
                await connection.execute(sql("revoke_api_key"), key_id, at)


def _key(row: Any, tenant: str) -> ApiKey:
    return ApiKey(
        key_id=row["key_id"],
        tenant_id=row["tenant_id"],
        tenant=tenant,
        name=row["name"],
        secret_hmac=row["secret_hmac"],
        scopes=frozenset(row["scopes"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        ended_sessions=frozenset(row["ended_sessions"]),
    )
