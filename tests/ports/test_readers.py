"""What readers see, the same in memory and in PostgreSQL: balances, their past, statements, transactions, holds."""

from datetime import timedelta

import msgspec
import pytest

from ledger.adapters.memory.reader import MemoryHistory
from ledger.adapters.postgres.reader import PostgresHistory
from ledger.adapters.postgres.tenancy import TenantPool
from ledger.adapters.postgres.types import Pool
from ledger.application.reading import EntryView, StatementPlace
from tests.builders import NOW, event_id
from tests.ports.conftest import Bench
from tests.ports.reading import NOBODY, MemoryReaders, PostgresReaders, Readers

LIFE = """
    open till debit overdraft=500 note=hall
    d1: transfer external:bank ann 1000
    clock 60
    d2: transfer ann bob 300
    clock 60
    d3: transfer external:bank ann 77 asset=JPY/0
    r1: reverse d2 100
    clock 60
    h1: hold ann shop 50 expires=9000
    c1: capture h1 20 more
    r2: reverse d2 50
    x1: transfer bob ann 9999
    close till
"""


@pytest.fixture(params=["memory", "postgres"])
async def readers(request: pytest.FixtureRequest, tenant_pool: TenantPool, pool: Pool) -> Readers:
    """Readers of books that have lived."""
    bench: Bench = request.getfixturevalue(request.param)
    found = MemoryReaders(bench) if request.param == "memory" else PostgresReaders(bench, pool, tenant_pool)
    await found.post(LIFE)
    return found


async def test_a_balance_is_what_was_committed(readers: Readers) -> None:
    view = await readers.balances.balance(readers.tenant_id, "ann", "USD/2")
    assert view is not None
    assert (view.balance, view.held, view.available, view.version) == (830, 30, 800, 5)
    assert (view.as_of, view.posted_debits, view.posted_credits) == (readers.bench.clock.now(), 320, 1150)


async def test_an_asset_that_an_account_never_had_is_zero(readers: Readers) -> None:
    view = await readers.balances.balance(readers.tenant_id, "ann", "EUR/2")
    assert view is not None
    assert (view.balance, view.held, view.version) == (0, 0, 0)


async def test_there_is_no_balance_of_no_account(readers: Readers) -> None:
    assert await readers.balances.balance(readers.tenant_id, "eve", "USD/2") is None
    assert await readers.balances.balance_at(readers.tenant_id, "eve", "USD/2", NOW) is None
    assert await readers.balances.account(readers.tenant_id, "eve") is None


@pytest.mark.parametrize(
    ("after_s", "balance", "version"), [(-1, 0, 0), (0, 1000, 1), (59, 1000, 1), (60, 700, 2), (130, 800, 3)]
)
async def test_a_balance_is_told_as_it_stood(
    readers: Readers, after_s: int, balance: int, version: int
) -> None:
    at = NOW + timedelta(seconds=after_s)
    view = await readers.balances.balance_at(readers.tenant_id, "ann", "USD/2", at)
    assert view is not None
    assert (view.balance, view.version, view.held, view.as_of) == (balance, version, None, at)


async def test_an_account_is_told_with_all_its_balances(readers: Readers) -> None:
    ann = await readers.balances.account(readers.tenant_id, "ann")
    assert ann is not None
    assert [(each.asset, each.balance) for each in ann.balances] == [("JPY/0", 77), ("USD/2", 830)]
    assert (ann.opened_at, ann.closed_at, ann.overdraft) == (NOW, None, 0)


async def test_an_account_keeps_its_settings(readers: Readers) -> None:
    till = await readers.balances.account(readers.tenant_id, "till")
    assert till is not None
    assert (till.normal_side, till.overdraft, till.metadata) == ("debit", 500, {"note": "hall"})
    assert till.closed_at == NOW + timedelta(seconds=180)
    assert till.balances == []


async def codes(readers: Readers, prefix: str = "", after: str | None = None, limit: int = 50) -> list[str]:
    found = await readers.history.accounts(readers.tenant_id, prefix, after, limit)
    return [each.account for each in found]


async def test_accounts_come_in_the_order_of_their_codes(readers: Readers) -> None:
    assert await codes(readers) == ["ann", "bob", "external:bank", "shop", "till"]
    assert await codes(readers, prefix="ex") == ["external:bank"]
    assert await codes(readers, prefix="ann") == ["ann"]
    assert await codes(readers, after="bob", limit=2) == ["external:bank", "shop"]


async def test_listed_accounts_are_those_that_are_read_one_by_one(readers: Readers) -> None:
    listed = await readers.history.accounts(readers.tenant_id, "", None, 50)
    assert list(listed) == [
        await readers.balances.account(readers.tenant_id, each.account) for each in listed
    ]


async def statement(readers: Readers, account: str = "ann", **given: object) -> list[EntryView]:
    filters = {"asset": None, "since": None, "before": None, "after": None, "limit": 50, **given}
    found = await readers.history.statement(readers.tenant_id, account, **filters)  # type: ignore[arg-type]
    assert found is not None
    return list(found)


async def test_a_statement_is_newest_first(readers: Readers) -> None:
    lines = [(each.asset, each.version, each.amount, each.balance) for each in await statement(readers)]
    assert lines == [
        ("USD/2", 5, 50, 830),
        ("USD/2", 4, -20, 780),
        ("USD/2", 3, 100, 800),
        ("JPY/0", 1, 77, 77),
        ("USD/2", 2, -300, 700),
        ("USD/2", 1, 1000, 1000),
    ]


async def test_a_statement_keeps_to_its_asset_and_its_times(readers: Readers) -> None:
    def after(seconds: int) -> object:
        return NOW + timedelta(seconds=seconds)

    assert [each.asset for each in await statement(readers, asset="JPY/0")] == ["JPY/0"]
    assert [each.version for each in await statement(readers, since=after(60), before=after(120))] == [2]
    assert [each.version for each in await statement(readers, since=after(180))] == [5, 4]
    assert await statement(readers, before=NOW) == []


@pytest.mark.parametrize("limit", [1, 2, 4])
async def test_pages_of_a_statement_make_the_whole(readers: Readers, limit: int) -> None:
    whole, pages, place = await statement(readers), [], None
    while page := await statement(readers, limit=limit, after=place):
        last = page[-1]
        place = StatementPlace(last.posted_at, last.asset, last.version)
        pages += page
    assert pages == whole


async def test_pages_stay_where_they_are_while_entries_come(readers: Readers) -> None:
    whole = await statement(readers)
    place = StatementPlace(whole[1].posted_at, whole[1].asset, whole[1].version)
    await readers.post(
        "clock 1\nn1: transfer external:bank ann 5\nn2: transfer external:bank ann 5 asset=AAA/2"
    )
    assert await statement(readers, after=place) == whole[2:]


async def test_an_entry_tells_what_posted_it(readers: Readers) -> None:
    entry = (await statement(readers))[1]
    assert (entry.transaction, entry.type) == (event_id("c1"), "hold.capture.v1")
    assert entry.effective_at == entry.posted_at
    assert NOW + timedelta(seconds=180) <= entry.posted_at < NOW + timedelta(seconds=181)


async def test_no_account_has_no_statement(readers: Readers) -> None:
    assert await readers.history.statement(readers.tenant_id, "eve", None, None, None, None, 5) is None


async def test_a_transaction_is_told_with_what_took_it_back(readers: Readers) -> None:
    found = await readers.history.transaction(readers.tenant_id, event_id("d2"))
    assert found is not None
    assert [(each.account, each.amount) for each in found.entries] == [("ann", -300), ("bob", 300)]
    assert found.reversed_by == [event_id("r1"), event_id("r2")]
    assert (found.type, found.posted_at) == ("transfer.post.v1", NOW + timedelta(seconds=60))


async def test_a_reversal_tells_what_it_takes_back(readers: Readers) -> None:
    found = await readers.history.transaction(readers.tenant_id, event_id("r1"))
    assert found is not None
    assert (found.reverses, found.captures, found.reversed_by) == (event_id("d2"), None, [])


async def test_a_hold_is_told_with_its_captures(readers: Readers) -> None:
    found = await readers.history.hold(readers.tenant_id, event_id("h1"))
    assert found is not None
    assert (found.amount, found.captured, found.left, found.state) == (50, 20, 30, "open")
    assert found.captures == [event_id("c1")]
    assert found.expires_at == NOW + timedelta(seconds=9000)


async def test_open_holds_are_listed_the_newest_first(readers: Readers) -> None:
    history = readers.history
    assert isinstance(history, MemoryHistory | PostgresHistory)
    await readers.post("h2: hold ann shop 7\nh3: hold ann shop 9\nv3: void h3\nh4: hold bob shop 1")
    found = await history.open_holds(readers.tenant_id, "ann", "USD/2", 5)
    assert [each.id for each in found] == sorted((event_id("h1"), event_id("h2")), reverse=True)
    assert {(each.id, each.left) for each in found} == {(event_id("h1"), 30), (event_id("h2"), 7)}
    assert len(await history.open_holds(readers.tenant_id, "ann", "USD/2", 1)) == 1
    assert await history.open_holds(readers.tenant_id, "ann", "JPY/0", 5) == []
    assert await history.open_holds(NOBODY, "ann", "USD/2", 5) == []


@pytest.mark.parametrize(
    ("name", "kind", "has_entries", "has_hold"),
    [("d1", "posted", True, False), ("h1", "posted", False, True), ("c1", "posted", True, True)],
)
async def test_an_event_is_told_with_what_it_caused(
    readers: Readers, name: str, kind: str, has_entries: bool, has_hold: bool
) -> None:
    found = await readers.history.event(readers.tenant_id, event_id(name))
    assert found is not None
    assert (found.kind, bool(found.entries), found.hold is not None) == (kind, has_entries, has_hold)


async def test_a_refused_event_tells_why(readers: Readers) -> None:
    found = await readers.history.event(readers.tenant_id, event_id("x1"))
    assert found is not None
    assert (found.kind, found.reason, found.type) == ("rejected", "insufficient_funds", "transfer.post.v1")
    assert found.transaction is None


async def test_the_trial_balance_is_zero(readers: Readers) -> None:
    totals = await readers.history.trial_balance(readers.tenant_id, None)
    assert [(each.asset, each.posted_credits - each.posted_debits) for each in totals] == [
        ("JPY/0", 0),
        ("USD/2", 0),
    ]
    assert [each.held for each in totals] == [0, 30]
    assert await readers.history.trial_balance(readers.tenant_id, "JPY/0") == [totals[0]]


async def test_another_tenant_finds_nothing(readers: Readers) -> None:
    history, balances = readers.history, readers.balances
    assert await balances.balance(NOBODY, "ann", "USD/2") is None
    assert await history.statement(NOBODY, "ann", None, None, None, None, 5) is None
    assert await history.transaction(NOBODY, event_id("d1")) is None
    assert await history.hold(NOBODY, event_id("h1")) is None
    assert await history.event(NOBODY, event_id("d1")) is None
    assert await history.accounts(NOBODY, "", None, 5) == []
    assert await history.trial_balance(NOBODY, None) == []


async def test_both_tell_the_same(
    memory: Bench, postgres: Bench, pool: Pool, tenant_pool: TenantPool
) -> None:
    found = []
    for readers in (MemoryReaders(memory), PostgresReaders(postgres, pool, tenant_pool)):
        await readers.post(LIFE)
        lists = [await readers.history.accounts(readers.tenant_id, "", None, 50), await statement(readers)]
        ids = map(event_id, ("d1", "d2", "r1", "h1", "c1", "x1"))
        events = [await readers.history.event(readers.tenant_id, each) for each in ids]
        found.append(msgspec.to_builtins([lists, events]))
    assert found[0] == found[1]
