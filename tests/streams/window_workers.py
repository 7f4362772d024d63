"""Windows workers without a stream: their HTTP side over a book that answers for the keys of its partitions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from zlib import crc32

from aiohttp import web
from aiohttp.typedefs import Handler

from ledger.adapters.workers.wire import Routes
from ledger.application.stream_reading import BalanceOf
from ledger.contract.outgoing import record_key
from ledger.domain.life import Life, life_of
from ledger.domain.window import Window, WindowSize
from streams.health import serving
from streams.transport.partitioning import Partitioner
from streams.windows.serving import WindowRoutes

PARTITIONS = 12
TOKEN = "an internal token"
START = 1_763_712_000
KEPT_FROM = START - 3600


def life_for(of: BalanceOf) -> Life:
    """Give each balance a life of its own, told from every other by its amount."""
    amount = crc32(f"{of.tenant}/{of.account}/{of.asset}".encode())
    return life_of(Window("credit", 1, 0, 0, 1, 0, amount, amount, amount, START * 1_000_000))


class FakeBook:
    """A Book of all balances whose key the writers of the stream would put into its partitions."""

    partitions = PARTITIONS

    def __init__(self) -> None:
        self.held: set[int] = set()
        self._choose = Partitioner().chooser("entries", PARTITIONS)

    def partition_of(self, key: bytes) -> int:
        return self._choose(key)

    def holds(self, partition: int) -> bool:
        return partition in self.held

    def life(self, partition: int, tenant: str, account: str, asset: str) -> Life | None:
        return life_for(BalanceOf(tenant, account, asset)) if asset == "USD/2" else None

    def windows(
        self,
        partition: int,
        tenant: str,
        account: str,
        asset: str,
        size: WindowSize,
        first: int,
        before: int,
        limit: int,
    ) -> Sequence[tuple[int, Window]]:
        life = self.life(partition, tenant, account, asset)
        return [] if life is None or not first <= START < before else [(START, life)][:limit]

    def kept_from(self, partition: int, size: WindowSize) -> int:
        return KEPT_FROM

    def stream_time_us(self, partition: int) -> int | None:
        return START * 1_000_000

    def fresh_at(self, partition: int) -> float | None:
        return START + 1.5


class FakeWorker:
    """One worker of a group; it can hang, or settle a rebalance."""

    def __init__(self, group: "FakeGroup") -> None:
        self.group = group
        self.book = FakeBook()
        self.url = ""
        self.is_settled, self.hangs = True, False
        self.asked: list[tuple[str, int]] = []
        self.server = web.Application(middlewares=[self._watch])
        WindowRoutes(self.book, self, TOKEN).add_to(self.server)

    def routes(self) -> Routes | None:
        return self.group.routes() if self.is_settled else None

    def is_mine(self, partition: int) -> bool:
        return self.group.owners.get(partition) is self

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.hangs:
            for _ in range(4):
                await asyncio.sleep(0.5)
        response = await handler(request)
        self.asked.append((request.path, response.status))
        return response

    def count(self, path: str, status: int | None = None) -> int:
        """Count what was asked of it."""
        return sum(1 for each, answered in self.asked if each == path and status in (None, answered))


class FakeGroup:
    """Workers that share the partitions."""

    def __init__(self) -> None:
        self.workers: list[FakeWorker] = []
        self.owners: dict[int, FakeWorker] = {}
        self.generation = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, count: int) -> AsyncIterator["FakeGroup"]:
        group = cls()
        async with AsyncExitStack() as stack:
            for _ in range(count):
                worker = FakeWorker(group)
                port = await stack.enter_async_context(serving(worker.server, "127.0.0.1", 0))
                worker.url = f"http://127.0.0.1:{port}"
                group.workers.append(worker)
            group.share(group.workers)
            yield group

    def share(self, workers: Sequence[FakeWorker]) -> None:
        """Rebalance: give the partitions to some workers, in turn."""
        self.generation += 1
        self.owners = {number: workers[number % len(workers)] for number in range(PARTITIONS)}
        for worker in self.workers:
            worker.book.held = {number for number, owner in self.owners.items() if owner is worker}

    def routes(self) -> Routes:
        urls = {number: owner.url for number, owner in self.owners.items()}
        return Routes(self.generation, PARTITIONS, urls)

    def owner(self, of: BalanceOf) -> FakeWorker:
        return self.owners[self.workers[0].book.partition_of(record_key(of.tenant, of.account))]

    def count(self, path: str, status: int | None = None) -> int:
        return sum(worker.count(path, status) for worker in self.workers)
