"""Workers as `streams` composes them, over the simulated servers."""

from random import Random
from typing import Any, cast

from ledger.application.expire_holds import ExpireHolds
from ledger.application.post_events import PostEvents
from ledger.application.turns import LongWork
from ledger.bootstrap.posting import rules_of
from streams.agents.expire_holds import HoldSweep
from streams.agents.post_events import PostChunk
from streams.publishing import PatientPublisher
from streams.transport.app import ChunkedApp
from streams.transport.flow import Flow
from streams.transport.health import holds_partition_0
from streams.transport.lanes import Handler, PartitionLanes
from tests.simulation.consumer import SimulatedConsumer
from tests.simulation.network import Remote
from tests.simulation.postgres import Client, ServerHolds
from tests.simulation.producer import SimulatedProducer, publisher_of
from tests.simulation.world import Clock, Running


class App:
    """A chunked app, as far as lanes, health and windows use it."""

    def __init__(self, running: Running, flow: Flow, consumer: SimulatedConsumer) -> None:
        self.flow = flow
        self.consumer: Any = consumer
        self.tables: Any = None
        self._running = running

    @property
    def rebalancing(self) -> bool:
        """Whether a rebalance is going on."""
        return not self.consumer.flow_active

    @property
    def consumer_generation_id(self) -> int:
        """The generation that this member is of."""
        return self.consumer.generation  # type: ignore[no-any-return]

    @property
    def should_stop(self) -> bool:
        """Whether the worker is about to end."""
        return bool(self.consumer.should_stop) or self._running.crashed is not None

    async def crash(self, fault: BaseException) -> None:
        """Nothing after this is committed, and the process ends soon."""
        self.consumer.commits = False
        self._running.fail(fault)


class Parts:
    """What every worker is made of: a flow over a consumer, and a publisher."""

    def __init__(self, running: Running, group: str, *topics: str, **settings: Any) -> None:
        world = running.world
        self.running = running
        self.settings = world.settings.model_copy(update=settings)
        self.signals = running.signals
        self.flow = Flow(self.settings, self.signals, topics)
        self.consumer = SimulatedConsumer(
            world.broker, world.network, world.faults, self.flow, group, running.name
        )
        self.app = cast(ChunkedApp, App(running, self.flow, self.consumer))
        producer = SimulatedProducer(world.broker, world.network, world.faults, running.name)
        self.batches = publisher_of(producer)
        self.batches._jitter = Random(world.chance.random())
        self.publisher = PatientPublisher(self.batches, self.flow, self.signals)
        self.database = Client(world.server, running.name)
        self.clock = Clock(world, running.name)
        self.database_clock = Clock(world)
        running.stop = self.consumer.stop

    def begin(self, handlers: dict[str, Handler], *beside: Any) -> None:
        """Begin the agents, the consumer, and what runs beside them."""
        agents = [
            PartitionLanes(self.app, handler).run(cast(Any, self.consumer.streams[topic]))
            for topic, handler in handlers.items()
        ]
        self.running.spawn(*agents, *self.consumer.tasks(), *beside)

    def remote(self, inner: Any) -> Any:
        """Give an object that lives on the database server."""
        world = self.running.world
        return Remote(world.network, "postgres", inner, self.database.guarded)


async def post_worker(running: Running) -> None:
    """A posting worker, as `streams.app` composes it, but that it goes by a clock of its own, which may jump."""
    settings, world = running.world.settings, running.world
    parts = Parts(running, settings.posting_group, settings.payments_topic)
    long_work = LongWork()
    post = PostEvents(
        parts.database,
        parts.clock,
        rules_of(parts.settings),
        parts.signals,
        backoff_max_s=settings.retry_backoff_max_s,
        waiting=parts.flow.waiting_for,
        long_work=long_work,
    )
    expire = ExpireHolds(parts.remote(ServerHolds(world.server.books)), parts.clock, world.fresh_id)
    sweep = HoldSweep(
        expire, parts.publisher, parts.settings, parts.signals, lambda: holds_partition_0(parts.app)
    )
    handler = PostChunk(post, parts.publisher, parts.settings, parts.signals, parts.clock, long_work)
    parts.begin({settings.payments_topic: handler}, sweep.run())
