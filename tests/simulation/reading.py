"""A process that reads all the time: strongly from the books, and by the real cache; what must not be is noted."""

import asyncio
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from ledger.adapters.kafka.feed import read_notice
from ledger.adapters.memory.cache import MemoryCache
from ledger.adapters.memory.reader import MemoryBalances, MemoryHistory
from ledger.application.balance_cache import CacheAwayError, Pausing
from ledger.application.cached_balances import CachedBalances
from ledger.application.faults import TransientFaultError
from ledger.domain.account import Balance, BalanceKey
from tests.simulation.drawing import TENANTS
from tests.simulation.network import Remote
from tests.simulation.postgres import Client
from tests.simulation.world import Clock, Running, World

ACCOUNTS = ("ann", "bob", "shop", "external:bank")
ASSET = "USD/2"
TTL_S = 2.0
LOOK_S = 0.35
ROUNDING_S = 1e-6
IDS = dict(enumerate(TENANTS, start=1))


class Past:
    """What the books held at each time: the world's own memory of commits."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._times: list[float] = [0.0]
        self._balances: list[Mapping[BalanceKey, Balance]] = [{}]

    def note(self) -> None:
        """A commit was made."""
        self._times.append(self._world.loop.time())
        self._balances.append(self._world.server.books.contents.balances)

    def version_at(self, key: BalanceKey, time: float) -> int:
        """Say which version a balance had at a time."""
        balance = self._balances[bisect_right(self._times, time) - 1].get(key)
        return 0 if balance is None else balance.version


class Reads:
    """Reads of one process, and what they have seen so far."""

    def __init__(self, running: Running) -> None:
        world = running.world
        self._running = running
        self._world = world
        database = Client(world.server, running.name)
        network, clock = world.network, Clock(world)
        books = world.server.books
        self._strong: Any = Remote(network, "postgres", MemoryBalances(books, IDS, clock), database.guarded)
        self._totals: Any = Remote(network, "postgres", MemoryHistory(books, IDS, clock), database.guarded)
        shared: Any = Remote(network, "redis", world.shared_cache, self._cache_guarded)
        own = MemoryCache(1000, world.loop.time)
        self.cached = CachedBalances(
            Pausing(shared, own, running.signals, world.loop.time),
            self._strong,
            ttl_s=TTL_S,
            entries_max=1000,
            monotonic=world.loop.time,
            uniform=world.chance.uniform,
        )
        self._seen: dict[tuple[str, BalanceKey], int] = {}

    async def _cache_guarded(self, _: str, ask: Any) -> Any:
        if self._world.faults.away["redis"]:
            raise CacheAwayError("no cache")
        return await ask()

    async def run(self) -> None:
        """Read on and on."""
        while True:
            await asyncio.sleep(self._world.chance.uniform(0.0, LOOK_S))
            tenant = self._world.chance.choice(tuple(IDS))
            key = (IDS[tenant], self._world.chance.choice(ACCOUNTS), ASSET)
            try:
                await self._world.chance.choice((self._strongly, self._by_cache, self._in_all))(tenant, key)
            except TransientFaultError:
                continue

    async def follow(self) -> None:
        """Hear of outcomes, as the feed of the API does: from the end of the topic on."""
        broker, topic = self._world.broker, self._world.settings.outcomes_topic
        positions = {place: log.end for place, log in broker.logs.items() if place.topic == topic}
        while True:
            try:
                self._world.faults.raise_kafka_away()
                found = await self._world.network.call("kafka", broker.fetch, positions, 50, 0.5)
            except KafkaError:
                await asyncio.sleep(0.3)
                continue
            for place, (_, records, end, _) in found.items():
                positions[TopicPartition(*place)] = end
                for record in records:
                    notice = read_notice(record)
                    if notice is not None:
                        self.cached.hear(notice)

    async def _strongly(self, tenant: int, key: BalanceKey) -> None:
        begun = self._world.loop.time()
        view = await self._strong.balance(tenant, *key[1:])
        version = 0 if view is None else view.version
        self._check("strong", key, version, begun)

    async def _by_cache(self, tenant: int, key: BalanceKey) -> None:
        served = await self.cached.balance(key[0], (tenant, *key[1:]))
        if served is not None:
            if served.age_s > TTL_S + ROUNDING_S and served.source == "cache":
                self._found(f"a cached balance is {served.age_s} s old")
            read_at = self._world.loop.time() - served.age_s - ROUNDING_S
            self._check("cached", key, served.view.version, read_at)

    async def _in_all(self, tenant: int, key: BalanceKey) -> None:
        """The bank test: whatever moves, the sum stays."""
        for total in await self._totals.trial_balance(tenant, None):
            if total.posted_debits != total.posted_credits:
                self._found(f"{key[0]} sums to {total.posted_credits - total.posted_debits} {total.asset}")

    def _check(self, kind: str, key: BalanceKey, version: int, since: float) -> None:
        known = self._world.past.version_at(key, since)
        if version < known:
            self._found(f"a {kind} read gave version {version} of {key}, and {known} was committed before it")
        before = self._seen.get((kind, key), 0)
        if version < before:
            self._found(f"a {kind} read of {key} went back from version {before} to {version}")
        self._seen[kind, key] = version

    def _found(self, what: str) -> None:
        self._world.found.append(f"R {what}")


async def read_process(running: Running) -> None:
    """Readers of one process."""
    reads = Reads(running)
    running.spawn(reads.run(), reads.follow())
