"""What a worker remembers of the books: never more than what is there."""

from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.directory import BalanceRow
from ledger.adapters.postgres.types import Pool
from ledger.domain.books import Rules, needs_of
from ledger.domain.commands import Event
from ledger.domain.posting import decide
from tests.builders import transfer
from tests.ports.conftest import Bench


def deposit(bench: Bench, name: object) -> Event:
    return transfer("external:bank", "ann", 1, name=name, tenant=bench.tenant)


async def test_rows_of_other_books_are_forgotten(postgres: Bench, pool: Pool) -> None:
    store = PostgresBooks(pool)
    await postgres.post(deposit(postgres, 1), store=store)
    store._directory._rows[postgres.tenant, "ann", "USD/2"] = BalanceRow(-7, -7, "credit", 0, 7)
    await postgres.post(deposit(postgres, 2), store=store)
    assert await postgres.balance("ann") == "2 held 0 version 2"


async def test_rolled_back_rows_are_not_remembered(postgres: Bench, pool: Pool) -> None:
    store = PostgresBooks(pool)
    event, now = deposit(postgres, 1), postgres.clock.now()
    async with store.unit_of_work() as unit:
        await unit.claim([event])
        books = await unit.lock(needs_of([event]))
        await unit.write(books, [decide(event, books, now, Rules())], [now], ())
    assert not store._directory.rows([(postgres.tenant, "ann", "USD/2")])


async def test_committed_rows_are_remembered(postgres: Bench, pool: Pool) -> None:
    store = PostgresBooks(pool)
    await postgres.post(deposit(postgres, 1), store=store)
    assert store._directory.rows([(postgres.tenant, "ann", "USD/2")])


async def test_memory_of_rows_is_bounded(postgres: Bench, pool: Pool) -> None:
    store = PostgresBooks(pool, remember=10)
    events = [
        transfer("external:bank", f"a{number}", 1, name=number, tenant=postgres.tenant)
        for number in range(40)
    ]
    for event in events:
        await postgres.post(event, store=store)
    assert 0 < len(store._directory._rows) <= 10


async def test_new_tenants_may_have_to_open_accounts(postgres: Bench, pool: Pool) -> None:
    store = PostgresBooks(pool, auto_open=False)
    assert await postgres.answers(deposit(postgres, 1), store=store) == ["account_not_found"]


async def test_setting_of_a_tenant_outlives_the_default(postgres: Bench, pool: Pool) -> None:
    await postgres.answers(deposit(postgres, 1), store=PostgresBooks(pool, auto_open=False))
    assert await postgres.answers(deposit(postgres, 2), store=PostgresBooks(pool)) == ["account_not_found"]
