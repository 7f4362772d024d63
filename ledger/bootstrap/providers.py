"""Compose the keeping of providers' settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.provider_reader import PostgresProviderReader
from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.postgres.types import Pool
from ledger.adapters.sealing import Seals
from ledger.config import Settings


def seals_of(settings: Settings) -> Seals:
    """Give what seals secrets of providers, by the keys that are set."""
    keys = (key.strip() for key in (settings.sealing_keys or "").split(","))
    return Seals([key for key in keys if key])


def providers_in(pool: Pool, settings: Settings) -> PostgresProviders:
    """Give the providers of all tenants over a pool in the worker's role."""
    return PostgresProviders(pool, seals_of(settings), auto_open=settings.auto_open_accounts)


@asynccontextmanager
async def provider_reader(settings: Settings, dsn: str) -> AsyncIterator[PostgresProviderReader]:
    """Give what operators see of providers and of the breakers of workers."""
    pool = await open_pool(dsn, settings, size=1, name="ledger-providers")
    try:
        yield PostgresProviderReader.of_all(pool)
    finally:
        await pool.close()


@asynccontextmanager
async def provider_directory(settings: Settings, dsn: str) -> AsyncIterator[PostgresProviders]:
    """Give the providers of all tenants in the books at `dsn`."""
    pool = await open_pool(dsn, settings, size=1, name="ledger-providers")
    try:
        yield providers_in(pool, settings)
    finally:
        await pool.close()
