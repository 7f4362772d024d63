"""Compose the API."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from ledger.adapters.kafka.access import kafka_access
from ledger.adapters.kafka.submit import KafkaEventLog
from ledger.adapters.postgres.api_keys import PostgresKeyReader
from ledger.adapters.postgres.payment_reader import PostgresPaymentReader
from ledger.adapters.postgres.provider_reader import PostgresProviderReader
from ledger.adapters.postgres.reader import PostgresBalances, PostgresHistory
from ledger.adapters.postgres.tenancy import Reads, ReplicaFirst, TenantPool, open_tenant_pool
from ledger.adapters.postgres.webhook_secrets import PostgresWebhookSecrets
from ledger.adapters.system import SystemClock
from ledger.api.quotas import RefusedSenders
from ledger.api.readiness import Readiness
from ledger.api.services import Services
from ledger.application.dead_letters import Payments
from ledger.application.key_chain import KeyChain
from ledger.application.receive_webhooks import ReceiveWebhooks
from ledger.bootstrap.console import console
from ledger.bootstrap.live_reads import live_reads
from ledger.bootstrap.providers import seals_of
from ledger.bootstrap.stream_reads import stream_reads
from ledger.config import Settings
from ledger.observability.signals import Signals


@asynccontextmanager
async def api(
    settings: Settings, dsn: str, signals: Signals, *, key_secret: str, payments: Payments | None = None
) -> AsyncIterator[Services]:
    """Compose what the API stands on: the books at `dsn`, keys that are kept under `key_secret`.

    Through `payments` the console sends dead letters again.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        strong = await _strong_pool(stack, dsn, settings, signals)
        heavy = await _heavy_pool(stack, dsn, settings, signals, "heavy")
        reads = await _with_standby(stack, heavy, settings, signals)
        keys = KeyChain(PostgresKeyReader(strong), clock, signals, key_secret, monotonic=time.monotonic)
        stack.push_async_callback(keys.close)
        balances = PostgresBalances(strong, clock)
        stream = await stack.enter_async_context(stream_reads(settings, balances, heavy, clock, signals))
        live = await stack.enter_async_context(live_reads(settings, dsn, key_secret, balances, signals))
        history = PostgresHistory(reads, clock)
        pages = console(settings, dsn, key_secret, history, live.places, live.metrics, signals, payments)
        yield Services(
            settings=settings,
            signals=signals,
            clock=clock,
            keys=keys,
            balances=balances,
            history=history,
            console=await stack.enter_async_context(pages),
            payments=partial(PostgresPaymentReader.of_tenant, strong),
            providers=partial(PostgresProviderReader.of_tenant, strong),
            webhooks=await _webhooks(stack, settings, strong, clock, signals),
            senders=RefusedSenders(settings.quota_refused_webhooks_s, signals, time.monotonic),
            eventual=stream.eventual,
            windows=stream.windows,
            **live._asdict(),
            is_ready=Readiness(strong.is_reachable, time.monotonic),
        )


async def _webhooks(
    stack: AsyncExitStack, settings: Settings, pool: TenantPool, clock: SystemClock, signals: Signals
) -> ReceiveWebhooks | None:
    if settings.kafka_bootstrap is None or settings.sealing_keys is None:
        return None
    kafka = kafka_access(settings, settings.kafka_bootstrap)
    log = KafkaEventLog(kafka, settings.webhooks_topic, signals)
    stack.push_async_callback(log.stop)
    return ReceiveWebhooks(PostgresWebhookSecrets(pool, seals_of(settings)), log, clock, signals)


async def _strong_pool(stack: AsyncExitStack, dsn: str, settings: Settings, signals: Signals) -> TenantPool:
    pool = await open_tenant_pool(
        dsn,
        settings,
        signals,
        name="strong",
        connections=settings.api_strong_connections,
        timeout_s=settings.api_strong_timeout_s,
    )
    stack.push_async_callback(pool.close)
    return pool


async def _with_standby(
    stack: AsyncExitStack, primary: TenantPool, settings: Settings, signals: Signals
) -> Reads:
    """Let a standby take what may be stale, if there is one; windows tell their age, which a standby does not know."""
    if settings.postgres_replica_dsn is None:
        return primary
    replica = await _heavy_pool(stack, settings.postgres_replica_dsn, settings, signals, "replica")
    return ReplicaFirst(replica, primary, signals, time.monotonic)


async def _heavy_pool(
    stack: AsyncExitStack, dsn: str, settings: Settings, signals: Signals, name: str
) -> TenantPool:
    pool = await open_tenant_pool(
        dsn,
        settings,
        signals,
        name=name,
        connections=settings.api_heavy_connections,
        timeout_s=settings.api_heavy_timeout_s,
    )
    stack.push_async_callback(pool.close)
    return pool
