"""Compose the chain worker's use case."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from ledger.adapters.postgres.chain import PostgresChainStore
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.system import SystemClock
from ledger.application.chain import ChainTransactions
from ledger.config import Settings
from ledger.observability.signals import Signals


@asynccontextmanager
async def chaining(
    settings: Settings, dsn: str, signals: Signals, *, lanes: int
) -> AsyncIterator[ChainTransactions]:
    """Compose the linking of transactions in PostgreSQL, for `lanes` chunks side by side and a sweep."""
    pool = await open_pool(dsn, settings, size=lanes + 2, name="ledger-chain")
    try:
        settle = timedelta(seconds=settings.chain_settle_s)
        store = PostgresChainStore(pool, horizon=timedelta(days=settings.dedupe_horizon_days))
        yield ChainTransactions(store, SystemClock(), settle, signals)
    finally:
        await pool.close()
