"""Compose the making of keys."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ledger.adapters.postgres.api_keys import PostgresKeyStore
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.system import SystemClock
from ledger.application.api_keys import ApiKeys
from ledger.config import Settings


@asynccontextmanager
async def api_keys(settings: Settings, dsn: str, *, key_secret: str) -> AsyncIterator[ApiKeys]:
    """Give what makes, lists and revokes keys in the books at `dsn`."""
    pool = await open_pool(dsn, settings, size=1, name="ledger-keys")
    try:
        store = PostgresKeyStore(pool, auto_open=settings.auto_open_accounts)
        yield ApiKeys(store, SystemClock(), secrets.token_bytes, key_secret)
    finally:
        await pool.close()
