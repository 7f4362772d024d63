"""Compose what the API does with Kafka and the cache: submitting, waiting, streams, cached balances, bounds."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from hashlib import blake2b
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, ProcessCollector

from ledger.adapters.kafka.access import kafka_access
from ledger.adapters.kafka.feed import KafkaFeed
from ledger.adapters.kafka.submit import KafkaEventLog
from ledger.adapters.memory.cache import MemoryCache
from ledger.adapters.redis.cache import RedisCache
from ledger.api.quotas import Quotas
from ledger.api.shedding import WAIT_S
from ledger.api.telemetry import ApiGauges, ApiMetrics
from ledger.application.balance_cache import BalanceCache, Pausing
from ledger.application.cached_balances import CachedBalances
from ledger.application.live_balances import LiveBalances
from ledger.application.outcome_feed import OutcomeFeed
from ledger.application.places import Places
from ledger.application.reading import BalanceReader
from ledger.application.submit_events import SubmitEvents
from ledger.config import Settings
from ledger.observability.signals import Signals


class LiveReads(NamedTuple):
    """What follows the topic of outcomes, and what bounds the requests."""

    submit: SubmitEvents | None
    cached: CachedBalances
    live: LiveBalances
    quotas: Quotas
    places: Places
    metrics: ApiMetrics


@asynccontextmanager
async def live_reads(
    settings: Settings, dsn: str, key_secret: str, balances: BalanceReader, signals: Signals
) -> AsyncIterator[LiveReads]:
    """Compose it over `settings.kafka_bootstrap`; without that, nothing is submitted and nothing is followed."""
    async with AsyncExitStack() as stack:
        feed = OutcomeFeed()
        cache = await _cache(settings, dsn, key_secret, signals, stack)
        cached = CachedBalances(
            cache,
            balances,
            ttl_s=settings.cache_ttl_s,
            entries_max=settings.cache_entries_max,
            monotonic=monotonic,
            uniform=random.uniform,
        )
        stack.push_async_callback(cached.close)
        feed.observe(cached.hear)
        live = LiveBalances(
            balances,
            feed,
            signals,
            streams_max=settings.live_streams_max,
            tenant_streams_max=settings.live_streams_tenant_max,
        )
        places = places_of(settings)
        follower = await _follow(settings, feed, signals, stack)
        submit = await _submit(settings, feed, signals, stack)
        quotas = Quotas(settings.quota_requests_s, settings.quota_events_s, signals, monotonic)
        metrics = _metrics(signals, cached, live, places, feed, follower, cache)
        yield LiveReads(submit, cached, live, quotas, places, metrics)


def places_of(settings: Settings) -> Places:
    """Let in as many as can read or wait for a read; the pools turn away what is too much for each of them."""
    connections = settings.api_strong_connections + settings.api_heavy_connections
    return Places(connections + 2 * settings.api_queue_max, settings.api_queue_max, WAIT_S)


async def _cache(
    settings: Settings, dsn: str, key_secret: str, signals: Signals, stack: AsyncExitStack
) -> BalanceCache:
    memory = MemoryCache(settings.cache_entries_max, monotonic)
    if settings.redis_url is None:
        return memory
    redis = RedisCache(
        settings.redis_url, books_name(dsn, key_secret, settings), timeout_s=settings.redis_timeout_s
    )
    stack.push_async_callback(redis.close)
    return Pausing(redis, memory, signals, monotonic)


def books_name(dsn: str, key_secret: str, settings: Settings) -> str:
    """Name the books, so that others in the same Redis are never taken for these.

    Two deployments may reach theirs under the same address, but they do not have the same secret.
    """
    address = urlsplit(dsn)
    place = (
        address.hostname,
        address.port,
        address.path,
        address.query,
        settings.postgres_schema,
        key_secret,
    )
    return blake2b(repr(place).encode(), digest_size=8).hexdigest()


async def _follow(
    settings: Settings, feed: OutcomeFeed, signals: Signals, stack: AsyncExitStack
) -> KafkaFeed | None:
    if settings.kafka_bootstrap is None:
        return None
    kafka = kafka_access(settings, settings.kafka_bootstrap)
    follower = KafkaFeed(kafka, settings.outcomes_topic, feed, signals)
    stack.push_async_callback(follower.stop)
    await follower.start()
    return follower


async def _submit(
    settings: Settings, feed: OutcomeFeed, signals: Signals, stack: AsyncExitStack
) -> SubmitEvents | None:
    if settings.kafka_bootstrap is None:
        return None
    kafka = kafka_access(settings, settings.kafka_bootstrap)
    log = KafkaEventLog(kafka, settings.payments_topic, signals, bytes_max=settings.record_bytes_max)
    stack.push_async_callback(log.stop)
    await log.start()
    return SubmitEvents(log, feed, bytes_max=settings.record_bytes_max)


def _metrics(
    signals: Signals,
    cached: CachedBalances,
    live: LiveBalances,
    places: Places,
    feed: OutcomeFeed,
    follower: KafkaFeed | None,
    cache: BalanceCache,
) -> ApiMetrics:
    metrics = ApiMetrics(CollectorRegistry())
    ProcessCollector(registry=metrics.registry)
    signals.listen(metrics)
    counts = cached.counts
    gauges: dict[str, Callable[[], float]] = {
        "in_flight": lambda: places.in_flight,
        "queued": lambda: places.waiting,
        "waiters": lambda: feed.waiting,
        "live_streams": lambda: live.streams,
        "cache_away": lambda: isinstance(cache, Pausing) and cache.is_away,
    }
    if follower is not None:
        gauges["feed_staleness_s"] = lambda: follower.staleness_s
        gauges["feed_lag_records"] = lambda: follower.lag_records
    metrics.registry.register(
        ApiGauges(gauges, {name: partial(getattr, counts, name) for name in counts.__struct_fields__})
    )
    return metrics
