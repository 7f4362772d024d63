"""A bench with readers over its books."""

from dataclasses import dataclass

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.reader import MemoryBalances, MemoryHistory
from ledger.adapters.postgres.reader import PostgresBalances, PostgresHistory
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.postgres.types import Pool
from ledger.application.reading import BalanceReader, HistoryReader
from ledger.domain.commands import Event
from tests.ports.conftest import Bench
from tests.scripts import parse

NOBODY = 10_000_000
"""The id of a tenant that has nothing."""


@dataclass
class Readers:
    """One store under test, and what reads it."""

    bench: Bench
    balances: BalanceReader
    history: HistoryReader
    tenant_id: int = NOBODY

    async def post(self, script: str) -> None:
        """Post a script of events, each in a batch of its own, as the clock says."""
        for step in parse(script, self.bench.tenant):
            self.bench.clock.move(step.wait_s)
            if step.event is not None:
                await self.post_event(step.event)

    async def post_event(self, event: Event) -> None:
        await self.bench.post(event)


class MemoryReaders(Readers):
    def __init__(self, bench: Bench) -> None:
        books = bench.store
        assert isinstance(books, MemoryBooks)
        tenants = {1: bench.tenant, NOBODY: "nobody"}
        balances = MemoryBalances(books, tenants, bench.clock)
        super().__init__(bench, balances, MemoryHistory(books, tenants, bench.clock), 1)


class PostgresReaders(Readers):
    def __init__(self, bench: Bench, pool: Pool, tenant_pool: TenantPool) -> None:
        clock = bench.clock
        super().__init__(bench, PostgresBalances(tenant_pool, clock), PostgresHistory(tenant_pool, clock))
        self._pool = pool

    async def post_event(self, event: Event) -> None:
        await super().post_event(event)
        if self.tenant_id == NOBODY:
            self.tenant_id = await self._pool.fetchval(
                "select tenant_id from tenants where code = $1", self.bench.tenant
            )
