"""One suite for every kind of books: payments, their timelines and providers are read."""

from itertools import pairwise

from ledger.adapters.postgres.payment_reader import PostgresPaymentReader
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.postgres.types import Pool
from ledger.domain.payments.saga import State
from tests.ports.payments import CAPTURING, Office

# Reading


async def test_payments_are_listed_newest_first_page_by_page(office: Office) -> None:
    await office.accept(*range(7), amount=1)
    tenant, pages, before = office.bench.tenant, [], None
    while page := await office.reader.payments(tenant, [], before, 3):
        pages.append([each.key for each in page])
        before = pages[-1][-1]
    keys = [key for page in pages for key in page]
    assert sorted(keys) == sorted(office.key(number) for number in range(7))
    assert all(newer.id > older.id for newer, older in pairwise(keys))
    assert [len(page) for page in pages] == [3, 3, 1]


async def test_payments_are_listed_by_state(office: Office) -> None:
    first, second, _ = await office.accept("a", "b", "c")
    await office.move(first, state=State.RELEASED, next_at=None)
    await office.move(second, **CAPTURING)
    wanted = [[State.CHARGED], [State.CHARGED, State.RELEASED], [State.SETTLED]]
    tenant = office.bench.tenant
    found = [await office.reader.payments(tenant, states, None, 9) for states in wanted]
    assert [{each.key for each in page} for page in found] == [
        {office.key("b")},
        {office.key("a"), office.key("b")},
        set(),
    ]


async def test_operators_see_payments_of_all_tenants(office: Office) -> None:
    await office.accept("p")
    newest = await office.reader.payments(None, [], None, 10_000)
    assert office.key() in [each.key for each in newest]
    rest = await office.reader.payments(None, [], office.key(), 10_000)
    assert [(each.key.id, each.key.tenant) < (office.key().id, office.key().tenant) for each in rest] == [
        True
    ] * len(rest)


async def test_operators_find_whose_a_payment_is(office: Office) -> None:
    # Tenants of other tests have payments of the names that all tests use.
    await office.accept("looked for")
    assert await office.reader.tenants_of(office.key("looked for").id) == [office.bench.tenant]
    assert await office.reader.tenants_of(office.key("none").id) == []


async def test_timeline_is_read_page_by_page(office: Office) -> None:
    [payment] = await office.accept("p")
    for number in range(1, 5):
        moved = await office.move(payment, attempts=number)
        assert moved is not None
        payment = moved
    assert [each.number for each in await office.reader.timeline(office.key(), 1, 2)] == [2, 3]
    assert await office.reader.timeline(office.key("none"), 0, 9) == []


async def test_what_is_not_there_is_not_found(office: Office) -> None:
    assert await office.reader.payment(office.key("none")) is None
    assert await office.providers.find(office.bench.tenant, "none") is None


async def test_tenants_see_only_what_is_theirs(
    postgres_office: Office, tenant_pool: TenantPool, pool: Pool
) -> None:
    await postgres_office.accept("p")
    key = postgres_office.key()
    own = await pool.fetchval("select tenant_id from tenants where code = $1", key.tenant)
    readers = [PostgresPaymentReader.of_tenant(tenant_pool, each) for each in (own, own + 1)]
    assert [(await each.payment(key)) is not None for each in readers] == [True, False]
    assert [len(await each.timeline(key, 0, 9)) for each in readers] == [1, 0]
    seen = [[each.key for each in await reader.payments(None, [], None, 9)] for reader in readers]
    assert (seen[0], key in seen[1]) == ([key], False)


# Providers


async def test_settings_of_providers_are_kept(office: Office) -> None:
    settings = {"url": "https://pay.example", "limits": {"calls": 4, "rate": 0.5}}
    await office.providers.put(office.bench.tenant, "bank", {"url": "old"})
    await office.providers.put(office.bench.tenant, "bank", settings)
    assert await office.providers.find(office.bench.tenant, "bank") == settings
    assert (office.bench.tenant, "bank", settings) in await office.providers.all()
