"""Windows worked out in SQL, against the lattice merged entry by entry."""

from collections.abc import AsyncIterator, Sequence
from random import Random

import pytest

from ledger.adapters.postgres.tenancy import open_tenant_pool
from ledger.adapters.postgres.types import Pool
from ledger.adapters.postgres.windows import PostgresWindows
from ledger.domain.commands import Event
from ledger.domain.moments import microseconds
from ledger.domain.outcome import Outcome
from ledger.domain.window import Window, WindowSize, merge, start_of, window_of_entry
from tests.builders import INT64_MAX, USD, event, transfer
from tests.fakes import RememberedSignals
from tests.ports.conftest import SETTINGS, Bench

ACCOUNTS = ["ann", "cash", "external:bank"]
PAUSES_S = [0, 0, 0.000001, 1, 20, 59.999999, 60, 300, 3600, 86_400, 200_000]
FOR_EVER = 10**18
MINUTE = WindowSize.MINUTE

Lattice = dict[int, Window]


def windows_of(outcomes: Sequence[Outcome], account: str, size: WindowSize) -> Lattice:
    """Merge the entries of an account one by one."""
    found: Lattice = {}
    for outcome in outcomes:
        at_us = microseconds(outcome.posted_at)
        start = start_of(size, at_us)
        for entry in outcome.entries:
            if entry.account == account:
                one = window_of_entry(
                    normal_side=entry.normal_side,
                    version=entry.version,
                    amount=entry.amount,
                    posted_debits=entry.posted_debits,
                    posted_credits=entry.posted_credits,
                    balance=entry.balance,
                    posted_at_us=at_us,
                )
                found[start] = merge(found[start], one) if start in found else one
    return found


@pytest.fixture(scope="module")
async def reader(books_dsn: str) -> AsyncIterator[PostgresWindows]:
    """The reader in the role of the API, which sees one tenant at a time."""
    pool = await open_tenant_pool(
        books_dsn, SETTINGS, RememberedSignals(), name="windows", connections=2, timeout_s=10
    )
    yield PostgresWindows(pool)
    await pool.close()


class Scene:
    """Random payments of one tenant over some days, and the reader."""

    def __init__(self, bench: Bench, reader: PostgresWindows, pool: Pool) -> None:
        self.bench, self.reader, self.pool = bench, reader, pool
        self.outcomes: list[Outcome] = []
        self.tenant_id = 0

    async def pay(self, seed: int, batches: int) -> None:
        chance = Random(seed)
        opening = {"account": "cash", "normal_side": "debit", "overdraft": "unlimited"}
        await self.bench.post(event("account.open.v1", opening, name="open", tenant=self.bench.tenant))
        for batch in range(batches):
            self.outcomes += await self.bench.post(*self._payments(chance, batch))
            self.bench.clock.move(chance.choice(PAUSES_S))
        self.tenant_id = await self.pool.fetchval(
            "select tenant_id from tenants where code = $1", self.bench.tenant
        )

    def _payments(self, chance: Random, batch: int) -> list[Event]:
        tenant, made = self.bench.tenant, []
        for number in range(chance.choice([1, 1, 2, 5])):
            debit, credit = chance.sample(ACCOUNTS, 2)
            made.append(transfer(debit, credit, chance.randint(1, 500), name=(batch, number), tenant=tenant))
        return made

    async def read(
        self,
        account: str,
        size: WindowSize = MINUTE,
        first: int = 0,
        before: int = FOR_EVER,
        limit: int = 1000,
    ) -> Lattice:
        found = await self.reader.windows(self.tenant_id, account, USD, size, first, before, limit)
        assert found is not None
        assert [each.start for each in found] == sorted({each.start for each in found})
        return {each.start: each.window for each in found}

    def expected(self, account: str, size: WindowSize = MINUTE) -> Lattice:
        return windows_of(self.outcomes, account, size)


@pytest.fixture(scope="module")
async def scene(postgres_for_fuzz: Bench, reader: PostgresWindows, pool: Pool) -> Scene:
    scene = Scene(postgres_for_fuzz, reader, pool)
    await scene.pay(seed=7, batches=120)
    return scene


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("size", WindowSize)
async def test_windows_are_what_merging_their_entries_gives(
    scene: Scene, account: str, size: WindowSize
) -> None:
    expected = scene.expected(account, size)
    assert len(expected) > 10
    assert await scene.read(account, size) == expected


async def test_a_range_holds_the_windows_that_begin_in_it(scene: Scene) -> None:
    expected, chance = scene.expected("ann"), Random(3)
    starts = sorted(expected)
    for _ in range(25):
        first = chance.choice(starts) + chance.choice([-60, -1, 0, 1, 59, 60])
        before = first + chance.choice([0, 1, 59, 60, 61, 7200, 10**6])
        limit = chance.choice([1, 2, 3, 100])
        within = [start for start in starts if first <= start < before][:limit]
        found = await scene.read("ann", first=first, before=before, limit=limit)
        assert found == {start: expected[start] for start in within}


async def test_a_page_begins_with_the_oldest(scene: Scene) -> None:
    expected = scene.expected("ann")
    first_two = dict(sorted(expected.items())[:2])
    assert await scene.read("ann", limit=2) == first_two


@pytest.mark.parametrize(("first", "before"), [(-(10**18), -1), (FOR_EVER, FOR_EVER + 1), (5, 5), (9, 2)])
async def test_a_range_without_time_has_no_windows(scene: Scene, first: int, before: int) -> None:
    assert await scene.read("ann", first=first, before=before) == {}


async def test_an_asset_never_had_has_no_windows_and_an_unknown_account_is_told(scene: Scene) -> None:
    read = scene.reader.windows
    assert await read(scene.tenant_id, "ann", "JPY/0", MINUTE, 0, FOR_EVER, 10) == []
    assert await read(scene.tenant_id, "nobody", USD, MINUTE, 0, FOR_EVER, 10) is None


async def test_the_largest_totals_fit(postgres: Bench, reader: PostgresWindows, pool: Pool) -> None:
    scene = Scene(postgres, reader, pool)
    await scene.pay(seed=1, batches=0)
    all_of_it = transfer("external:a", "external:b", INT64_MAX, tenant=postgres.tenant)
    scene.outcomes += await postgres.post(all_of_it)
    for account in ("external:a", "external:b"):
        assert list((await scene.read(account)).values()) == list(scene.expected(account).values())
