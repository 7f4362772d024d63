"""The posting worker: a Faust app of its own, with its agent, its sweep and its health."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import faust
from faust.types import StreamT

from ledger.adapters.kafka.access import KafkaAccess
from ledger.adapters.kafka.stream import KafkaStream
from ledger.application.ports import BookStore
from ledger.bootstrap.posting import posting
from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.agents.expire_holds import HoldSweep
from streams.agents.post_events import PostChunk
from streams.agents.upkeep import keep_partitions_ahead
from streams.beside import run_beside
from streams.embedded.addresses import find_addresses
from streams.publishing import PatientPublisher
from streams.transport.app import ChunkedApp, chunked_app, chunked_topic
from streams.transport.health import holds_partition_0
from streams.transport.lanes import Handler, PartitionLanes
from streams.transport.publisher import BatchPublisher


def create_app(settings: Settings, signals: Signals) -> ChunkedApp:
    """Make the posting app, without what it posts to: `working` gives it that."""
    return chunked_app(settings.posting_group, settings, signals, [settings.payments_topic])


def add_posting(app: ChunkedApp, settings: Settings, handler: Handler) -> None:
    """Give the app its agent."""
    lanes = PartitionLanes(app, handler)

    @app.agent(chunked_topic(app, settings.payments_topic), name="post_events")
    async def post_events(stream: StreamT[Any]) -> None:
        await lanes.run(cast(faust.Stream[Any], stream))


@asynccontextmanager
async def working(settings: Settings, signals: Signals) -> AsyncIterator[ChunkedApp]:
    """Compose a posting worker on the servers that are set or that `ledger up` started."""
    addresses = find_addresses(settings)
    settings = settings.model_copy(
        update={"kafka_bootstrap": addresses.kafka.servers, "postgres_dsn": addresses.postgres_dsn}
    )
    async with AsyncExitStack() as stack:
        app = create_app(settings, signals)
        batches = BatchPublisher(addresses.kafka)
        await batches.start()
        stack.push_async_callback(batches.stop)
        publisher = PatientPublisher(batches, app.flow, signals)
        use_cases = await stack.enter_async_context(
            posting(
                settings,
                addresses.postgres_dsn,
                signals,
                lanes=settings.partitions,
                waiting=app.flow.waiting_for,
            )
        )
        handle = PostChunk(
            use_cases.post_events, publisher, settings, signals, use_cases.clock, use_cases.long_work
        )
        add_posting(app, settings, handle)
        sweep = HoldSweep(
            use_cases.expire_holds, publisher, settings, signals, lambda: holds_partition_0(app)
        )
        await _begin(use_cases.books, settings, addresses.kafka)
        run_beside(
            app,
            stack,
            sweep.run(),
            keep_partitions_ahead(use_cases.make_partitions_ahead, signals),
            use_cases.clock.keep_learning(),
        )
        yield app


async def _begin(books: BookStore, settings: Settings, kafka: KafkaAccess) -> None:
    """Tell the books where the log begins: what a group skipped before that is gone, what it skips after is a gap."""
    async with KafkaStream.open(kafka, settings.payments_topic) as stream:
        bounds = await stream.bounds()
    await books.begin(stream.topic, {partition: first for partition, (first, _) in bounds.items()})
