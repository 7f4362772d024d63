"""The secrets that tenants share with their providers, read in the API's role."""

from collections.abc import Sequence

from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.sealing import Seals

STRANGERS = -1
"""In whose name connections are waited for: who sends no key waits for others who send none."""


class PostgresWebhookSecrets:
    """A WebhookSecrets. Raises SealError without keys to open secrets with."""

    def __init__(self, pool: TenantPool, seals: Seals) -> None:
        self._pool = pool
        self._seals = seals
        self._nobodys = seals.seal("", "", ["nobody's"])

    async def secrets(self, tenant: str, provider: str) -> Sequence[bytes]:
        async with self._pool.connection(STRANGERS) as connection, connection.transaction():
            # For this transaction only.
            await connection.fetchval("select set_config('ledger.webhook_tenant', $1, true)", tenant)
            sealed = await connection.fetchval(sql("find_webhook_provider"), tenant, provider)
        if sealed is None:
            # As much work as for who is known: the time taken tells nobody who is a tenant here.
            self._seals.open("", "", self._nobodys)
            return []
        return [secret.encode() for secret in self._seals.open(tenant, provider, sealed)]
