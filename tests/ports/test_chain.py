"""The audit chain: it grows alike in memory and in PostgreSQL, and whoever changes the books by hand is found."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import asyncpg
import pytest

from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.chain import MemoryChain
from ledger.adapters.postgres import chain as postgres_chain
from ledger.adapters.postgres.chain import PostgresChains, PostgresChainSnapshot, PostgresChainStore
from ledger.adapters.postgres.types import Pool
from ledger.application.chain import ChainDamagedError, Chains, ChainStore, ChainTransactions
from ledger.application.verify_chain import VerifyChain
from ledger.domain.books import EventKey
from ledger.domain.chain import Link
from tests.builders import NOW, TRANSFER, event, event_id, transfer
from tests.ports.conftest import SCHEMA, Bench
from tests.random_events import random_stream

METADATA = {
    "b": [1e23, 10**30, 0.1, -0.0, None, True],
    "a": {"é\n\x1f/": 'say "hi"', "": 100},
    "aa": 2.50,
}


class Chained(NamedTuple):
    """A bench, and the chain of its books."""

    bench: Bench
    store: ChainStore
    chains: Chains

    async def links(self) -> Sequence[Link]:
        async with self.chains.snapshot() as chain:
            return await chain.links(self.bench.tenant, 0, 10_000)

    async def post(self, count: int = 200, seed: int = 1) -> list[EventKey]:
        """Post a random mix; gives what was posted, in order."""
        outcomes = await self.bench.post(*random_stream(Random(seed), count, tenant=self.bench.tenant))
        posted = [each for each in outcomes if each.transaction and each.kind == "posted"]
        return list(dict.fromkeys((self.bench.tenant, each.event.id) for each in posted))

    async def violations(self) -> list[dict[str, Any]]:
        async with self.chains.snapshot() as chain:
            check = await VerifyChain(chain)()
        return [each for each in check.violations if each["tenant"] == self.bench.tenant]

    async def catch_up(self, settle_s: float = 0.5) -> None:
        """Sweep a second later."""
        self.bench.clock.move(1)
        settle = timedelta(seconds=settle_s)
        await ChainTransactions(self.store, self.bench.clock, settle, self.bench.signals).catch_up()


@pytest.fixture
def memory_chained(memory: Bench) -> Chained:
    assert isinstance(memory.store, MemoryBooks)
    chain = MemoryChain(memory.store)
    return Chained(memory, chain, chain)


@pytest.fixture
async def postgres_chained(postgres: Bench, pool: Pool, books_dsn: str) -> Chained:
    """Chains of all tenants of these tests, swept by none so far."""
    connection = await asyncpg.connect(books_dsn, server_settings={"search_path": SCHEMA})
    await connection.execute("delete from chain_progress")
    await connection.close()
    return Chained(postgres, PostgresChainStore(pool), PostgresChains(pool))


@pytest.fixture(params=["memory_chained", "postgres_chained"])
def chained(request: pytest.FixtureRequest) -> Chained:
    found: Chained = request.getfixturevalue(request.param)
    return found


async def test_books_alike_have_chains_alike(memory_chained: Chained, postgres_chained: Chained) -> None:
    tenant = memory_chained.bench.tenant = postgres_chained.bench.tenant
    data = {"debit": "external:bank", "credit": "ann", "amount": 5, "asset": "USD/2", "reference": "é/\n"}
    odd = event(data={**data, "metadata": METADATA}, name=f"odd {tenant}", tenant=tenant)
    found = []
    for each in (memory_chained, postgres_chained):
        keys = await each.post()
        await each.bench.post(odd)
        await each.store.append([*keys, odd.identity])
        found.append(await each.links())
    assert found[0] == found[1]
    assert len(found[0]) > 10


@pytest.mark.parametrize(
    "at", ["1899-12-31T23:59:59.999999Z", "1999-12-31T23:59:59.000001Z", "9999-12-30T23:59:59.999999Z"]
)
async def test_times_of_any_century_are_hashed_to_the_microsecond(
    memory_chained: Chained, postgres_chained: Chained, at: str
) -> None:
    tenant = memory_chained.bench.tenant = postgres_chained.bench.tenant
    given = event(data={**TRANSFER, "effective_at": at}, name=f"{at} {tenant}", tenant=tenant)
    found = []
    for each in (memory_chained, postgres_chained):
        assert [outcome.effective_at for outcome in await each.bench.post(given)] == [
            datetime.fromisoformat(at)
        ]
        await each.store.append([given.identity])
        found.append([link.digest for link in await each.links()])
    assert found[0] == found[1] != []


async def test_transaction_is_linked_once(chained: Chained) -> None:
    keys = await chained.post()
    appended = [await chained.store.append(part) for part in (keys[:7], keys[:9], keys, keys)]
    assert [each.links for each in appended] == [7, 2, len(keys) - 9, 0]
    assert [(each.tenant, each.event_id) for each in await chained.links()] == keys
    assert await chained.violations() == []


async def test_what_the_books_do_not_have_is_told(chained: Chained) -> None:
    await chained.post(20)
    unknown = [(chained.bench.tenant, event_id("never")), ("nobody", event_id("never"))]
    appended = await chained.store.append(unknown)
    assert (appended.links, sorted(appended.unknown)) == (0, sorted(unknown))


async def test_catching_up_links_what_nobody_told_of(chained: Chained) -> None:
    keys = await chained.post()
    await chained.store.append(keys[2:5])
    await chained.catch_up()
    links = await chained.links()
    assert sorted((each.tenant, each.event_id) for each in links) == sorted(keys)
    assert [each.late for each in links] == [False] * 3 + [True] * (len(keys) - 3)
    assert await chained.violations() == []


async def test_what_was_posted_just_now_is_left_to_the_stream(chained: Chained) -> None:
    await chained.post()
    await chained.catch_up(settle_s=60)
    assert await chained.links() == []


async def test_catching_up_takes_them_in_the_order_of_their_times(chained: Chained) -> None:
    first = await chained.post(100, seed=1)
    chained.bench.clock.move(5)
    second = [key for key in await chained.post(150, seed=2) if key not in first]
    await chained.catch_up()
    found = [(each.tenant, each.event_id) for each in await chained.links()]
    assert found == sorted(first) + sorted(second)


async def test_catching_up_goes_page_by_page_and_can_be_broken_off(
    postgres_chained: Chained, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_chain, "PAGE_KEYS", 3)
    keys = await postgres_chained.post(150, seed=2)
    postgres_chained.bench.clock.move(1)
    for _ in range(pool.get_max_size() + 1):
        async with aclosing(
            postgres_chained.store.unlinked(None, postgres_chained.bench.clock.now())
        ) as pages:
            assert len(await anext(pages)) == 3
    await postgres_chained.catch_up()
    assert [(each.tenant, each.event_id) for each in await postgres_chained.links()] == sorted(keys)


async def test_sweeps_go_on_where_the_last_one_ended(chained: Chained) -> None:
    first = await chained.post(100, seed=1)
    await chained.catch_up()
    chained.bench.clock.move(-60)
    await chained.bench.post(transfer("external:x", "zed", 5, name="backdated", tenant=chained.bench.tenant))
    chained.bench.clock.move(60)
    await chained.catch_up()
    assert len(await chained.links()) == len(first)
    assert [each["what"] for each in await chained.violations()] == ["the transaction has no link"]


async def test_what_is_posted_under_an_old_time_is_linked_once_the_mark_is_lowered(chained: Chained) -> None:
    first = await chained.post(100, seed=1)
    await chained.catch_up()
    chained.bench.clock.move(-60)
    old = transfer("external:x", "zed", 5, name="backdated", tenant=chained.bench.tenant)
    await chained.bench.post(old)
    await chained.store.lower(chained.bench.clock.now())
    chained.bench.clock.move(60)
    assert await chained.violations() == []
    await chained.catch_up()
    assert len(await chained.links()) == len(first) + 1
    assert await chained.violations() == []


async def test_sweep_does_not_lift_a_mark_that_was_lowered_under_it(chained: Chained) -> None:
    await chained.post(20)
    await chained.catch_up()
    seen, tick = await chained.store.begin_sweep(), timedelta(microseconds=1)
    assert await chained.store.complete_before() == seen
    lowered = seen - timedelta(minutes=1)
    await chained.store.lower(lowered)
    await chained.store.complete(seen + timedelta(seconds=5), seen)
    assert await chained.store.complete_before() == lowered - tick
    # Nor one that stands lower already.
    low = await chained.store.begin_sweep()
    await chained.store.lower(seen)
    await chained.store.complete(seen, low)
    assert await chained.store.complete_before() == lowered - 2 * tick


async def test_first_sweep_does_not_set_a_mark_over_what_is_posted_under_it(chained: Chained) -> None:
    mark = await chained.store.begin_sweep()
    assert await chained.store.complete_before() is None
    await chained.store.lower(chained.bench.clock.now())
    await chained.store.complete(chained.bench.clock.now(), mark)
    assert await chained.store.complete_before() is None
    await chained.post(20)
    await chained.catch_up()
    assert await chained.store.complete_before() == chained.bench.clock.now() - timedelta(seconds=0.5)
    assert await chained.violations() == []


async def test_workers_side_by_side_make_one_chain(postgres_chained: Chained) -> None:
    keys = await postgres_chained.post(400)
    parts = [keys[begin : begin + 15] for begin in range(0, len(keys), 10)]
    await asyncio.gather(*(postgres_chained.store.append(part) for part in parts))
    assert [each.number for each in await postgres_chained.links()] == list(range(1, len(keys) + 1))
    assert await postgres_chained.violations() == []


# By hand


async def test_links_that_come_after_the_end_of_a_chain_are_told(
    postgres_chained: Chained, books_dsn: str
) -> None:
    keys = await postgres_chained.post()
    await postgres_chained.store.append(keys[:6])
    tenant = keys[0][0]
    owner: Any = await asyncpg.connect(books_dsn, server_settings={"search_path": SCHEMA})
    move = (
        "update chain_heads set number = $1 where tenant_id = (select tenant_id from tenants where code = $2)"
    )
    await owner.execute(move, 3, tenant)
    with pytest.raises(ChainDamagedError, match=rf"{tenant} .* link 3.*`ledger chain verify`"):
        await postgres_chained.store.append(keys)
    await owner.execute(move, 6, tenant)
    await owner.close()
    assert (await postgres_chained.store.append(keys)).links == len(keys) - 6


@asynccontextmanager
async def changed(owner: Any, statements: Sequence[str]) -> AsyncIterator[PostgresChainSnapshot]:
    """Change the books as a superuser does, in a transaction that is rolled back."""
    await owner.execute("set local session_replication_role = replica")
    for statement in statements:
        await owner.execute(statement)
    yield await PostgresChainSnapshot.of(owner)


ANCIENT = datetime(2020, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def inserted(books_dsn: str, key: EventKey, forged: str) -> AsyncIterator[None]:
    """A copy of a transaction under another id, committed, in books that dropped claims of ancient times."""
    owner: Any = await asyncpg.connect(books_dsn, server_settings={"search_path": SCHEMA})
    await owner.execute("set session_replication_role = replica")
    await owner.execute("insert into event_horizon (dropped_before) values (first_id_at($1))", ANCIENT)
    try:
        await owner.execute(
            "insert into transactions select $1, tenant_id, type, posted_at, effective_at from transactions "
            "where event_id = $2 and tenant_id = (select tenant_id from tenants where code = $3)",
            forged,
            key[1],
            key[0],
        )
        yield
    finally:
        await owner.execute("delete from transactions where event_id = $1", forged)
        await owner.execute("delete from event_horizon")
        await owner.close()


@pytest.mark.parametrize("at", [NOW, ANCIENT - timedelta(days=1)])
async def test_what_was_inserted_by_hand_is_never_linked(
    postgres_chained: Chained, books_dsn: str, at: datetime
) -> None:
    await postgres_chained.post(100, seed=1)
    await postgres_chained.catch_up()
    keys = await postgres_chained.post(200, seed=2)
    forged = event_id("forged", at)
    async with inserted(books_dsn, keys[-1], forged):
        await postgres_chained.catch_up()
        expected = {"what": "the transaction has no link", "tenant": keys[0][0], "event": forged}
        assert await postgres_chained.violations() == [expected]


async def test_what_is_older_than_its_claim_and_the_chain_is_linked(
    postgres_chained: Chained, books_dsn: str
) -> None:
    keys = await postgres_chained.post()
    old = event_id("old", ANCIENT - timedelta(days=1))
    async with inserted(books_dsn, keys[-1], old):
        await postgres_chained.catch_up()
        assert old in {link.event_id for link in await postgres_chained.links()}


FIFTH = "(select event_id from chain_links where tenant_id = {t} and number = 5)"
EIGHTH = "(select event_id from chain_links where tenant_id = {t} and number = 8)"
ASIDE = "'0199aaaa-0000-7000-8000-000000000001'::uuid"
ROW = f"tenant_id = {{t}} and event_id = {FIFTH}"
CHANGED = [("the transaction was changed", 5)]
CASES: dict[str, tuple[list[str], list[tuple[str, int]]]] = {
    "a type": ([f"update transactions set type = 'other' where {ROW}"], CHANGED),
    "a reference": ([f"update transactions set reference = 'other' where {ROW}"], CHANGED),
    "metadata": ([f"update transactions set metadata = '{{{{}}}}' where {ROW}"], CHANGED),
    "an amount": ([f"update entries set amount = amount * 2 where {ROW}"], CHANGED),
    "the time of an entry": (
        [f"update entries set posted_at = posted_at - interval '1 us' where {ROW} and line = 0"],
        CHANGED,
    ),
    "the order of entries": ([f"update entries set line = 1 - line where {ROW}"], CHANGED),
    "an entry that is gone": ([f"delete from entries where {ROW} and line = 1"], CHANGED),
    "a transaction that is gone": (
        [f"delete from entries where {ROW}", f"delete from transactions where {ROW}"],
        [("the transaction is gone", 5)],
    ),
    "transactions swapped": (
        [
            f"create temp table swapped on commit drop as select {FIFTH} as one, {EIGHTH} as other",
            *(
                f"update {table} set event_id = {to} from swapped where tenant_id = {{t}} and event_id = {of}"
                for table in ("entries", "transactions")
                for of, to in (("one", ASIDE), ("other", "one"), (ASIDE, "other"))
            ),
        ],
        [("the transaction was changed", 5), ("the transaction was changed", 8)],
    ),
    "a link that is gone": (
        ["delete from chain_links where tenant_id = {t} and number = 5"],
        [("links are missing from here on", 5)],
    ),
    "the last link": (
        ["delete from chain_links where tenant_id = {t} and number >= 20"],
        [("links are missing from here on", 20)],
    ),
    "the chain itself": (
        ["delete from chain_links where tenant_id = {t}"],
        [("links are missing from here on", 1)],
    ),
    "its end": (
        ["delete from chain_heads where tenant_id = {t}"],
        [("the end of the chain is not known any more", 20)],
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_was_done_by_hand_is_found_at_its_place(
    postgres_chained: Chained, owner: Any, case: str
) -> None:
    keys = (await postgres_chained.post(300, seed=5))[:20]
    await postgres_chained.store.append(keys)
    tenant = postgres_chained.bench.tenant
    tenant_id = await owner.fetchval("select tenant_id from tenants where code = $1", tenant)
    statements, found = CASES[case]
    async with changed(owner, [each.format(t=tenant_id) for each in statements]) as chain:
        check = await VerifyChain(chain)()
    ours = [each for each in check.violations if each["tenant"] == tenant and "number" in each]
    assert [(each["what"], each["number"]) for each in ours] == found
