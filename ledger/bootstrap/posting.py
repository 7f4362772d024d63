"""Compose the posting worker's use cases."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import monotonic

from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.clock import DatabaseClock
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.holds import PostgresHolds
from ledger.adapters.postgres.upkeep import make_partitions_ahead
from ledger.adapters.system import SystemClock, new_event_id_at
from ledger.application.expire_holds import ExpireHolds
from ledger.application.ports import BookStore
from ledger.application.post_events import PostEvents, Waiting, not_said
from ledger.application.turns import LongWork
from ledger.bootstrap.limits import payment_rules_of
from ledger.config import Settings
from ledger.domain.books import Rules
from ledger.observability.signals import Signals

PARTITIONS_AHEAD_MONTHS = 3


@dataclass(frozen=True, slots=True)
class Posting:
    """The use cases of a posting worker."""

    post_events: PostEvents
    expire_holds: ExpireHolds
    books: BookStore
    clock: DatabaseClock
    long_work: LongWork
    make_partitions_ahead: Callable[[], Awaitable[int]]


def rules_of(settings: Settings) -> Rules:
    return Rules(
        dedupe_horizon=timedelta(days=settings.dedupe_horizon_days),
        future_tolerance=timedelta(seconds=settings.future_tolerance_s),
        payments=payment_rules_of(settings),
    )


@asynccontextmanager
async def posting(
    settings: Settings, dsn: str, signals: Signals, *, lanes: int, waiting: Waiting = not_said
) -> AsyncIterator["Posting"]:
    """Compose the posting of events into PostgreSQL, for `lanes` batches side by side."""
    pool = await open_pool(dsn, settings, size=lanes + 2, by_key=True)
    clock = DatabaseClock(pool, monotonic, SystemClock(), signals)
    try:
        store = PostgresBooks(
            pool,
            auto_open=settings.auto_open_accounts,
            remember=settings.account_cache_entries,
            signals=signals,
        )
        long_work = LongWork()
        post = PostEvents(
            store,
            clock,
            rules_of(settings),
            signals,
            backoff_max_s=settings.retry_backoff_max_s,
            waiting=waiting,
            long_work=long_work,
        )
        expire = ExpireHolds(PostgresHolds(pool), clock, lambda: new_event_id_at(clock.now()))
        await clock.learn()
        yield Posting(
            post,
            expire,
            store,
            clock,
            long_work,
            partial(make_partitions_ahead, pool, PARTITIONS_AHEAD_MONTHS),
        )
    finally:
        await pool.close()
