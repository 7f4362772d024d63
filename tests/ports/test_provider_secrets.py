"""Secrets of providers are kept sealed, and open only for whom they were sealed."""

import secrets
from typing import Any

import asyncpg
import pytest

from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.postgres.types import Pool
from ledger.adapters.postgres.webhook_secrets import PostgresWebhookSecrets
from ledger.adapters.sealing import Seals
from ledger.application.payment_ports import SealError
from tests.ports.conftest import SEALING_KEY

SECRET = "a secret of the tests"
SETTINGS: dict[str, Any] = {"url": "https://pay.example", "secrets": [SECRET, "an older secret of them"]}
NEW_KEY = secrets.token_urlsafe()


@pytest.fixture
async def tenant(pool: Pool) -> str:
    tenant = f"sealed-{secrets.token_hex(4)}"
    await kept(pool, SEALING_KEY).put(tenant, "bank", SETTINGS)
    return tenant


def kept(pool: Pool, *keys: str) -> PostgresProviders:
    return PostgresProviders(pool, Seals(keys), auto_open=True)


async def rows(pool: Pool, tenant: str) -> list[str]:
    statement = "select p::text from providers p join tenants using (tenant_id) where code = $1 order by name"
    return [row[0] for row in await pool.fetch(statement, tenant)]


async def test_secrets_are_read_back_and_never_stored(pool: Pool, tenant: str) -> None:
    assert await kept(pool, SEALING_KEY).find(tenant, "bank") == SETTINGS
    (row,) = await rows(pool, tenant)
    assert "pay.example" in row
    assert "secret" not in row


async def test_a_list_of_providers_holds_no_secrets(pool: Pool, tenant: str) -> None:
    listed = [settings for owner, _, settings in await kept(pool).all() if owner == tenant]
    assert listed == [{"url": "https://pay.example"}]


@pytest.mark.parametrize("keys", [(), (NEW_KEY,)], ids=["none", "another"])
async def test_without_the_key_there_is_a_clear_fault(pool: Pool, tenant: str, keys: tuple[str, ...]) -> None:
    with pytest.raises(SealError, match="LEDGER_SEALING_KEYS"):
        await kept(pool, *keys).find(tenant, "bank")


async def test_without_a_key_nothing_is_kept(pool: Pool, tenant: str) -> None:
    with pytest.raises(SealError, match="LEDGER_SEALING_KEYS"):
        await kept(pool).put(tenant, "other", SETTINGS)
    assert len(await rows(pool, tenant)) == 1


@pytest.mark.parametrize("to_tenant", [True, False])
async def test_a_seal_that_was_copied_to_another_row_does_not_open(
    pool: Pool, tenant: str, to_tenant: bool
) -> None:
    other, name = (f"{tenant}-x", "bank") if to_tenant else (tenant, "other")
    await kept(pool, SEALING_KEY).put(other, name, {"url": "https://thief.example"})
    await pool.execute(
        """update providers p set sealed_secrets =
               (select sealed_secrets from providers join tenants using (tenant_id) where code = $1 and name = 'bank')
           from tenants t where t.tenant_id = p.tenant_id and t.code = $2 and p.name = $3""",
        tenant,
        other,
        name,
    )
    try:
        with pytest.raises(SealError, match="for another provider"):
            await kept(pool, SEALING_KEY).find(other, name)
        with pytest.raises(SealError, match=f"{other}/{name}"):
            await kept(pool, SEALING_KEY).seal_anew()
    finally:
        assert await kept(pool).remove(other, name)


async def test_keys_are_changed_without_a_gap(pool: Pool, tenant: str) -> None:
    both = kept(pool, NEW_KEY, SEALING_KEY)
    assert await both.find(tenant, "bank") == SETTINGS
    try:
        assert await both.seal_anew() >= 1
        assert await kept(pool, NEW_KEY).find(tenant, "bank") == SETTINGS
    finally:
        await kept(pool, SEALING_KEY, NEW_KEY).seal_anew()


async def test_the_books_take_neither_open_secrets_nor_a_tenant_as_a_provider(
    pool: Pool, tenant: str
) -> None:
    insert = "insert into providers (tenant_id, name, settings) select tenant_id, $2, $3 from tenants where code = $1"
    for name, settings in [("ledger:rival", "{}"), ("open", '{"secrets": ["s"]}')]:
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute(insert, tenant, name, settings)


async def test_a_key_that_is_none_is_refused_without_being_told() -> None:
    with pytest.raises(ValueError, match="32 bytes") as refused:
        Seals(["c2hvcnQ"])
    assert "c2hvcnQ" not in str(refused.value)


# Webhooks


async def test_secrets_for_webhooks_are_those_of_the_tenant_and_provider(
    pool: Pool, tenant_pool: TenantPool, tenant: str
) -> None:
    found = PostgresWebhookSecrets(tenant_pool, Seals([SEALING_KEY]))
    assert await found.secrets(tenant, "bank") == [SECRET.encode(), b"an older secret of them"]
    assert await found.secrets(tenant, "other") == await found.secrets("nobody", "bank") == []


async def test_a_look_for_a_webhook_leaves_nothing_to_be_seen(tenant_pool: TenantPool, tenant: str) -> None:
    await PostgresWebhookSecrets(tenant_pool, Seals([SEALING_KEY])).secrets(tenant, "bank")
    async with tenant_pool.for_tenant(0) as connection:
        assert await connection.fetchval("select count(*) from providers") == 0
        assert await connection.fetchval("select count(*) from tenants where code = $1", tenant) == 0
