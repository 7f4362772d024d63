"""The chain worker: a Faust app of its own that follows outcomes, away from posting, and a sweep beside it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import faust
from faust.types import StreamT

from ledger.bootstrap.chaining import chaining
from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.agents.chain_transactions import ChainChunk, ChainSweep
from streams.beside import run_beside
from streams.embedded.addresses import find_addresses
from streams.patience import Patience
from streams.transport.app import ChunkedApp, chunked_app, chunked_topic
from streams.transport.health import holds_partition_0
from streams.transport.lanes import Handler, PartitionLanes


def add_chaining(app: ChunkedApp, settings: Settings, handler: Handler) -> None:
    """Give the app its agent."""
    lanes = PartitionLanes(app, handler)

    @app.agent(chunked_topic(app, settings.outcomes_topic), name="chain_transactions")
    async def chain_transactions(stream: StreamT[Any]) -> None:
        await lanes.run(cast(faust.Stream[Any], stream))


@asynccontextmanager
async def chain_worker(settings: Settings, signals: Signals) -> AsyncIterator[ChunkedApp]:
    """Compose a chain worker on the servers that are set or that `ledger up` started."""
    addresses = find_addresses(settings)
    settings = settings.model_copy(
        update={"kafka_bootstrap": addresses.kafka.servers, "postgres_dsn": addresses.postgres_dsn}
    )
    async with AsyncExitStack() as stack:
        app = chunked_app(settings.chain_group, settings, signals, [settings.outcomes_topic])
        chain = await stack.enter_async_context(
            chaining(settings, addresses.postgres_dsn, signals, lanes=settings.partitions)
        )
        patience = Patience(app.flow.waiting_for, settings.retry_backoff_max_s)
        add_chaining(app, settings, ChainChunk(chain, signals, patience))
        sweep = ChainSweep(chain, settings, signals, lambda: holds_partition_0(app))
        run_beside(app, stack, sweep.run())
        yield app
