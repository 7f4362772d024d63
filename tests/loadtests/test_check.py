"""What is wrong in books is named, and books that were laid by SQL are as if they had been posted."""

from collections.abc import AsyncIterator
from time import time

import pytest

from ledger.config import Settings
from loadtests.bench.check import check_books, check_tables
from loadtests.bench.ground import lay
from loadtests.bench.stage import Servers, Stage, Wishes, servers, stage
from loadtests.workloads.transfers import Transfers, evenly
from streams.verifying import verify_books

GROWN = Transfers("uniform", evenly, customers=7, grown=True, rounds=9)
EXPECTED = GROWN.expected(0, 1)
NEVER_SENT = "no_loss"

PLANTED = [
    (
        "update balances set posted_credits = posted_credits + 5 where version = 19",
        "balance acme/customer:0 USD/2: found 45, 1000000000050, 0, 19, expected 45, 1000000000045, 0, 19",
    ),
    ("update balances set held = 1 where posted_debits = 45", "balance acme/customer:4 USD/2"),
    ("update balances set version = 20 where version = 19", "entries acme/customer:0 USD/2: found 45"),
    ("update accounts set code = 'customer:x' where code = 'customer:1'", "balance acme/customer:x USD/2"),
    ("update entries set amount = amount + 1 where version = 19 and amount > 0", "unbalanced transaction"),
    ("delete from entries where version = 3 and balance_id = 1", "entries acme/external:bank USD/2"),
    ("delete from transactions where reference is null", "transactions: 0, expected 70"),
    (
        "update processed_events set kind = 'rejected', reason = 'lost'",
        "ids with outcome lost: 70, expected 0",
    ),
    (
        "delete from processed_events where event_id = (select min(event_id::text)::uuid from processed_events)",
        "ids with outcome posted: 69, expected 70",
    ),
]


@pytest.fixture(scope="module")
async def shared(kafka: str, postgres_dsn: str) -> AsyncIterator[Servers]:
    async with servers(Settings(kafka_bootstrap=kafka, postgres_dsn=postgres_dsn)) as found:
        yield found


@pytest.fixture(scope="module")
async def laid(shared: Servers) -> AsyncIterator[Stage]:
    async with stage(shared, Wishes(partitions=1)) as made:
        if GROWN.ground:
            await lay(made, GROWN.ground, int(time() * 1000))
        yield made


async def test_books_that_were_laid_are_as_expected(laid: Stage) -> None:
    assert await check_books(laid, EXPECTED) == []


async def test_books_that_were_laid_are_as_valid_as_posted_ones(laid: Stage) -> None:
    verdict, _ = await verify_books(laid.settings)

    assert [check.name for check in verdict.checks if not check.ok] == [NEVER_SENT]


@pytest.mark.parametrize(("planted", "named"), PLANTED, ids=[named[:30] for _, named in PLANTED])
async def test_a_difference_is_named(laid: Stage, planted: str, named: str) -> None:
    async with laid.connection() as connection:
        before = connection.transaction()
        await before.start()
        try:
            await connection.execute("set local session_replication_role = replica")
            await connection.execute(planted)
            faults = await check_tables(connection, EXPECTED)
        finally:
            await before.rollback()

    assert any(fault.startswith(named) for fault in faults), faults


async def test_of_many_differences_the_first_are_shown_and_all_are_counted(laid: Stage) -> None:
    faults = await check_books(laid, GROWN.expected(500, 1))

    assert len([fault for fault in faults if fault.startswith("balance acme")]) == 5
    assert "balance: 2 more" in faults
