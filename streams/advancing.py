"""The payments worker: a Faust app of its own that follows outcomes, and a timer over what is due."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import faust
from faust.types import StreamT

from ledger.bootstrap.payments import advancing
from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.agents.advance_payments import DueTimer, HearChunk, count_payments
from streams.agents.hear_webhooks import HearWebhooks
from streams.beside import run_beside
from streams.embedded.addresses import find_addresses
from streams.key_secret import need_sealing_keys
from streams.patience import Patience
from streams.payment_log import SharedLog
from streams.transport.app import ChunkedApp, chunked_app, chunked_topic
from streams.transport.lanes import Handler, PartitionLanes
from streams.transport.publisher import BatchPublisher


def create_payments_app(settings: Settings, signals: Signals) -> ChunkedApp:
    """Make the payments app, without its agent."""
    return chunked_app(
        settings.payments_group, settings, signals, [settings.outcomes_topic, settings.webhooks_topic]
    )


def add_advancing(app: ChunkedApp, settings: Settings, handler: Handler, webhooks: Handler) -> None:
    """Give the app its agents."""
    lanes = PartitionLanes(app, handler)
    webhook_lanes = PartitionLanes(app, webhooks)

    @app.agent(chunked_topic(app, settings.outcomes_topic), name="advance_payments")
    async def advance_payments(stream: StreamT[Any]) -> None:
        await lanes.run(cast(faust.Stream[Any], stream))

    @app.agent(chunked_topic(app, settings.webhooks_topic), name="hear_webhooks")
    async def hear_webhooks(stream: StreamT[Any]) -> None:
        await webhook_lanes.run(cast(faust.Stream[Any], stream))


@asynccontextmanager
async def paying(settings: Settings, signals: Signals) -> AsyncIterator[ChunkedApp]:
    """Compose a payments worker on the servers that are set or that `ledger up` started."""
    addresses = find_addresses(settings)
    settings = settings.model_copy(
        update={
            "kafka_bootstrap": addresses.kafka.servers,
            "postgres_dsn": addresses.postgres_dsn,
            "sealing_keys": need_sealing_keys(settings),
        }
    )
    async with AsyncExitStack() as stack:
        app = create_payments_app(settings, signals)
        batches = BatchPublisher(addresses.kafka)
        await batches.start()
        stack.push_async_callback(batches.stop)
        log = SharedLog(batches, settings.payments_topic)
        parts = await stack.enter_async_context(advancing(settings, addresses.postgres_dsn, log, signals))
        timer = DueTimer(parts.advance, settings, signals)
        patience = Patience(app.flow.waiting_for, settings.retry_backoff_max_s)
        webhooks = HearWebhooks(parts.advance, parts.store, signals, patience)
        add_advancing(app, settings, HearChunk(parts.advance, timer, signals, patience), webhooks)
        run_beside(
            app,
            stack,
            timer.run(),
            count_payments(parts.store, parts.clock, signals),
            parts.breakers.run(),
            parts.providers.keep_looking(),
            parts.clock.keep_learning(),
        )
        yield app
