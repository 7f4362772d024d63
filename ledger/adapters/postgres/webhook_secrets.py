"""The secrets that tenants share with their providers, read in the API's role."""

from collections.abc import Sequence

import msgspec

from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.tenancy import TenantPool


class _Secrets(msgspec.Struct):
    secrets: list[str] = []


class PostgresWebhookSecrets:
    """A WebhookSecrets."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def secrets(self, tenant: str, provider: str) -> Sequence[bytes]:
        async with self._pool.connection() as connection:
            async with connection.transaction():
                # For this transaction only.
                await connection.fetchval("select set_config('ledger.webhook_tenant', $1, true)", tenant)
                tenant_id = await connection.fetchval(sql("find_webhook_tenant"), tenant)
            if tenant_id is None:
                return []
            await connection.show(tenant_id)
            found = await connection.fetchval(sql("find_provider"), tenant, provider)
        if found is None:
            return []
        return [secret.encode() for secret in msgspec.json.decode(found, type=_Secrets).secrets]
