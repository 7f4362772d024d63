"""Whoever changes a row by hand is found, and the row is named."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from ledger.adapters.system import new_event_id
from ledger.domain.audit import Verdict
from tests.end_to_end.books import Books, event, transfer

NAMES = ["zero_sum", "one_outcome", "no_loss", "balances", "versions", "holds"]


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    """Books with a little of everything, and no worker any more."""
    async with Books.open(kafka, postgres_dsn, "corrupted", tmp_path_factory.mktemp("corrupted")) as books:
        hold, original = new_event_id(), new_event_id()
        events = [
            transfer("external:bank", "ann", 1000),
            transfer("ann", "shop", 100, original),
            transfer("ann", "shop", 200),
            event("hold.place.v1", {"debit": "ann", "credit": "shop", "amount": 50, "asset": "USD/2"}, hold),
            event("hold.capture.v1", {"hold": hold, "amount": 20, "final": False}),
            event("transaction.reverse.v1", {"transaction": original}),
            transfer("ann", "shop", 999_999),
        ]
        await books.send(events, keys=[b"one"] * len(events))
        await books.send([b"poison"], keys=[b"one"])
        async with books.worker() as worker:
            await books.until_handled(len(events) + 1)
            assert await worker.end() == 0, worker.log
        yield books


def broken(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.ok}


async def test_untouched_books_pass_every_check(books: Books) -> None:
    verdict = await books.verdict()
    assert [check.name for check in verdict.checks] == NAMES
    assert verdict.ok, verdict.as_dict()
    assert all(check.checked for check in verdict.checks)


ONE = "(select event_id from entries where version = 3 order by event_id limit 1)"

# What a superuser does with the triggers off, what undoes it, and which checks must see it.
CORRUPTIONS = {
    "an entry's amount": (
        "update entries set amount = amount + 1 where version = 2 and amount < 0",
        "update entries set amount = amount - 1 where version = 2 and amount < 0",
        {"zero_sum", "balances", "versions"},
    ),
    "both entries of a transaction": (
        f"update entries set amount = amount * 2 where event_id = {ONE}",
        f"update entries set amount = amount / 2 where event_id = {ONE}",
        {"balances", "versions"},
    ),
    "a balance": (
        "update balances set posted_credits = posted_credits + 1 where version = 1",
        "update balances set posted_credits = posted_credits - 1 where version = 1",
        {"zero_sum", "balances"},
    ),
    "a version": (
        "update balances set version = version + 1 where version = 1",
        "update balances set version = 1 where version = 2",
        {"versions"},
    ),
    "a processed event": (
        "create table gone as select * from processed_events where kind = 'rejected'; "
        "delete from processed_events where kind = 'rejected'",
        "insert into processed_events select * from gone; drop table gone",
        {"no_loss"},
    ),
    "an outcome": (
        "update processed_events set kind = 'rejected', reason = 'unbalanced' "
        "where event_id in (select event_id from transactions where reverses is not null)",
        "update processed_events set kind = 'posted', reason = null "
        "where event_id in (select event_id from transactions where reverses is not null)",
        {"one_outcome"},
    ),
    "an event that never came": (
        "insert into processed_events select gen_random_uuid(), tenant_id, fingerprint, type, 'rejected', "
        '\'unbalanced\', detail, posted_at, "partition", 7 from processed_events where "offset" = 1',
        "delete from processed_events where reason = 'unbalanced'",
        {"no_loss"},
    ),
    "a dead letter's bytes": (
        "update dead_letters set value = 'poisoN'",
        "update dead_letters set value = 'poison'",
        {"no_loss"},
    ),
    "a hold": (
        "update holds set amount_left = amount_left - 1, released = released + 1",
        "update holds set amount_left = amount_left + 1, released = released - 1",
        {"holds"},
    ),
    "what was captured": (
        "update holds set captured = captured - 1, released = released + 1",
        "update holds set captured = captured + 1, released = released - 1",
        {"holds"},
    ),
    "what was reversed": (
        "update reversals set reversed = reversed - 1",
        "update reversals set reversed = reversed + 1",
        {"holds"},
    ),
    "a time": (
        "update entries set posted_at = posted_at - interval '1 day' where version = 3",
        "update entries set posted_at = posted_at + interval '1 day' where version = 3",
        {"versions"},
    ),
}


async def run_script(books: Books, script: str) -> None:
    connection = await asyncpg.connect(
        books.settings.postgres_dsn, server_settings={"search_path": books.settings.postgres_schema}
    )
    try:
        await connection.execute(f"set session_replication_role = replica; {script}")
    finally:
        await connection.close()


@pytest.mark.parametrize("what", CORRUPTIONS)
async def test_changed_row_is_found(books: Books, what: str) -> None:
    damage, repair, expected = CORRUPTIONS[what]
    await run_script(books, damage)
    try:
        verdict = await books.verdict()
    finally:
        await run_script(books, repair)

    assert broken(verdict) == expected, verdict.as_dict()
    assert all(len(violation) > 1 for check in verdict.checks for violation in check.violations)


async def test_repaired_books_pass_again(books: Books) -> None:
    assert (await books.verdict()).ok
