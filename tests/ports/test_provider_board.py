"""How breakers stand: told by workers, read by tenants and operators."""

import secrets
from datetime import timedelta
from typing import Any

import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.payments import MemoryPayments
from ledger.adapters.memory.provider_board import MemoryProviderBoard
from ledger.adapters.postgres.provider_reader import PostgresBreakerBoard, PostgresProviderReader
from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.postgres.types import Pool
from ledger.adapters.sealing import Seals
from ledger.application.breaker import BreakerState
from ledger.application.payment_ports import ProviderDirectory
from ledger.application.provider_reading import BreakerBoard, BreakerTold, ProviderReader, ProviderShown
from tests.builders import NOW

LONG_AGO = NOW - timedelta(days=9)
Bench = tuple[str, ProviderDirectory, BreakerBoard, ProviderReader]


@pytest.fixture
def memory_board() -> Bench:
    books = MemoryBooks()
    board = MemoryProviderBoard(books)
    return "acme", MemoryPayments(books), board, board


@pytest.fixture
def postgres_board(pool: Pool) -> Bench:
    providers = PostgresProviders(pool, Seals([]), auto_open=True)
    tenant = f"board-{secrets.token_hex(4)}"
    return tenant, providers, PostgresBreakerBoard(pool), PostgresProviderReader.of_all(pool)


@pytest.fixture(params=["memory_board", "postgres_board"])
def bench(request: pytest.FixtureRequest) -> Bench:
    found: Bench = request.getfixturevalue(request.param)
    return found


def told(tenant: str, provider: str = "bank", **given: Any) -> BreakerTold:
    members: dict[str, Any] = {
        "tenant": tenant,
        "provider": provider,
        "worker": f"{tenant} w1",
        "state": BreakerState.OPEN,
        "since": NOW,
        "retry_at": NOW + timedelta(seconds=5),
        "calls": 12,
        "bad": 9,
        "told_at": NOW,
    }
    return BreakerTold(**members | given)


async def seen(bench: Bench, since_s: float = 0) -> list[BreakerTold]:
    tenant, _, _, reader = bench
    found = await reader.breakers(NOW + timedelta(seconds=since_s))
    return [each for each in found if each.tenant == tenant]


async def test_what_a_worker_told_is_read_until_it_is_stale(bench: Bench) -> None:
    tenant, providers, board, _ = bench
    await providers.put(tenant, "bank", {"url": "https://pay.example"})
    await board.tell(f"{tenant} w1", [told(tenant)], LONG_AGO)
    assert await seen(bench) == [told(tenant)]
    assert await seen(bench, since_s=1) == []


async def test_what_is_told_takes_the_place_of_all_that_the_worker_told(bench: Bench) -> None:
    tenant, providers, board, _ = bench
    await providers.put(tenant, "bank", {})
    other = told(tenant, worker=f"{tenant} w2")
    await board.tell(f"{tenant} w1", [told(tenant), told(tenant, "second")], LONG_AGO)
    await board.tell(f"{tenant} w2", [other], LONG_AGO)
    changed = told(tenant, state=BreakerState.CLOSED, retry_at=None, told_at=NOW + timedelta(seconds=1))
    await board.tell(f"{tenant} w1", [changed], LONG_AGO)
    assert await seen(bench) == [changed, other]


async def test_what_nobody_tells_any_more_is_dropped(bench: Bench) -> None:
    tenant, providers, board, _ = bench
    await providers.put(tenant, "bank", {})
    await board.tell(f"{tenant} w1", [told(tenant, told_at=LONG_AGO)], LONG_AGO)
    await board.tell(f"{tenant} w2", [], LONG_AGO + timedelta(seconds=1))
    assert await seen(bench, since_s=-10 * 86400) == []


async def test_providers_are_shown_without_what_may_be_secret(bench: Bench) -> None:
    tenant, providers, _, reader = bench
    await providers.put(tenant, "bank", {"url": "https://u:p@pay.example:1/x?y=z"})
    await providers.put(tenant, "other", {"when_down": "decline"})
    shown = [each for each in await reader.providers() if each.tenant == tenant]
    assert shown == [
        ProviderShown(tenant=tenant, name="bank", url="https://pay.example:1", when_down="wait"),
        ProviderShown(tenant=tenant, name="other", url="", when_down="decline"),
    ]


async def test_a_tenant_sees_its_own(postgres_board: Bench, tenant_pool: TenantPool, pool: Pool) -> None:
    tenant, providers, board, _ = postgres_board
    await providers.put(tenant, "bank", {})
    await board.tell(f"{tenant} w1", [told(tenant)], LONG_AGO)
    own = await pool.fetchval("select tenant_id from tenants where code = $1", tenant)
    readers = [PostgresProviderReader.of_tenant(tenant_pool, each) for each in (own, own + 1)]
    assert [len(await each.breakers(NOW)) for each in readers] == [1, 0]
    assert [[each.name for each in await reader.providers()] for reader in readers] == [["bank"], []]
