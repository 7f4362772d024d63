"""Whoever changes a row by hand is found, and the row is named."""

from collections.abc import AsyncIterator

import pytest

from ledger.adapters.system import new_event_id
from tests.end_to_end.books import Books, event, transfer
from tests.end_to_end.planting import planted

NAMES = ["zero_sum", "one_outcome", "no_loss", "balances", "versions", "holds", "sagas", "chain", "windows"]


RENT = {
    "debit": "external:rent",
    "credit": "landlord",
    "amount": 7,
    "asset": "EUR/2",
    "reference": "rent",
    "effective_at": "2024-01-31T12:00:00+01:00",
    "metadata": {"a": 1, "b": [1e23, 0.1, None]},
}


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
            event("transfer.post.v1", RENT),
        ]
        await books.send(events, keys=[b"one"] * len(events))
        await books.send([b"poison"], keys=[b"one"])
        async with books.worker() as worker:
            await books.until_handled(len(events) + 1)
            assert await worker.end() == 0, worker.log
        yield books


async def test_untouched_books_pass_every_check(books: Books) -> None:
    verdict = await books.verdict()
    assert [check.name for check in verdict.checks] == NAMES
    assert verdict.ok, verdict.as_dict()
    assert [check.name for check in verdict.checks if not check.checked] == [
        "sagas",
        "chain",
        "windows",
    ]  # there are none


ONE = "(select event_id from entries where version = 3 and amount = -200)"
NEW_ID = "'0199aaaa-0000-7000-8000-000000000001'"
COLUMNS = (
    'event_id, tenant_id, fingerprint, type, kind, reason, detail, posted_at, topic, "partition", "offset"'
)


def copied(place: str, kind: str = "'rejected', 'unbalanced'") -> str:
    """Insert a processed event like the first, at another place."""
    return (
        f"insert into processed_events ({COLUMNS}) select {NEW_ID}, tenant_id, fingerprint, type, {kind}, detail, "
        f'now(), {place} from processed_events where "offset" = 0'
    )


FORGED = "; ".join(
    [
        copied("null, null, null", "'posted', null"),
        f"insert into transactions select {NEW_ID}, tenant_id, type, posted_at, effective_at "
        f"from transactions where event_id = {ONE}",
        f"insert into entries select e.tenant_id, e.balance_id, b.version + 1, {NEW_ID}, e.line, e.asset, "
        "case when e.amount < 0 then -1 else 1 end, "
        "b.posted_debits + (e.amount < 0)::int, b.posted_credits + (e.amount > 0)::int, b.last_posted_at "
        f"from entries e join balances b using (tenant_id, balance_id) where event_id = {ONE}",
        "update balances b set version = e.version, posted_debits = e.posted_debits, "
        f"posted_credits = e.posted_credits from entries e where e.event_id = {NEW_ID} "
        "and e.balance_id = b.balance_id",
        f"update transactions set posted_at = (select max(last_posted_at) from balances), "
        f"effective_at = (select max(last_posted_at) from balances) where event_id = {NEW_ID}",
        f"update entries set posted_at = (select max(last_posted_at) from balances) where event_id = {NEW_ID}",
    ]
)

ELSEWHERE = copied("'other', 0, 0")

# What a superuser does with the triggers off, and which checks must see it.
CORRUPTIONS: dict[str, tuple[str, set[str]]] = {
    "an entry's amount": (
        "update entries set amount = amount + 1 where version = 2 and amount < 0",
        {"zero_sum", "no_loss", "balances", "versions"},
    ),
    "both entries of a transaction": (
        f"update entries set amount = amount * 2 where event_id = {ONE}",
        {"no_loss", "balances", "versions"},
    ),
    "a balance": (
        "update balances set posted_credits = posted_credits + 1 where version = 1",
        {"zero_sum", "balances"},
    ),
    "a version": ("update balances set version = version + 1 where version = 1", {"versions"}),
    "a processed event": ("delete from processed_events where kind = 'rejected'", {"no_loss"}),
    "an outcome": (
        "update processed_events set kind = 'rejected', reason = 'unbalanced' "
        "where event_id in (select event_id from transactions where reverses is not null)",
        {"one_outcome"},
    ),
    "an event at the place of a dead letter": (copied('topic, "partition", 8'), {"no_loss"}),
    "an event after the last record": (copied('topic, "partition", 1000000'), {"no_loss"}),
    "an event before the first record": (copied('topic, "partition", -1'), {"no_loss"}),
    "an event in a partition without records": (copied('topic, ("partition" + 1) % 4, 0'), {"no_loss"}),
    "an event in a partition that is none": (copied("topic, 99, 0"), {"no_loss"}),
    "an event of a topic that was never read": (copied("'other', 0, 0"), {"no_loss"}),
    "an event from nowhere": (copied("null, null, null"), {"no_loss"}),
    "a partition that is none": (
        'insert into stream_offsets (topic, "partition", next_offset) select topic, 99, 5 '
        "from stream_offsets limit 1",
        {"no_loss"},
    ),
    "where an event was first seen": (
        "update processed_events set \"offset\" = null where kind = 'rejected'",
        {"no_loss"},
    ),
    "two events at one offset": (copied('topic, "partition", 0'), {"one_outcome", "no_loss"}),
    "a fingerprint": (
        "update processed_events set fingerprint = '\\x00' where kind = 'rejected'",
        {"no_loss"},
    ),
    "a type": (
        "update processed_events set type = 'transaction.post.v1' where kind = 'rejected'",
        {"no_loss"},
    ),
    "a type that posted": (
        f"update processed_events set type = 'transaction.post.v1' where event_id = {ONE}",
        {"one_outcome", "no_loss"},
    ),
    "a kind": (
        "update processed_events set kind = 'duplicate', reason = null where kind = 'rejected'",
        {"no_loss"},
    ),
    "a refusal that became posted": (
        "update processed_events set kind = 'posted', reason = null where kind = 'rejected'",
        {"one_outcome"},
    ),
    "the time of a refusal": (
        "update processed_events set posted_at = null where kind = 'rejected'",
        {"one_outcome"},
    ),
    "a reason too many": (
        f"update processed_events set reason = 'unbalanced' where event_id = {ONE}",
        {"one_outcome"},
    ),
    "a forged transfer": (FORGED, {"no_loss"}),
    "a transaction without entries": (
        f"insert into transactions select {NEW_ID}, tenant_id, type, posted_at, effective_at "
        f"from transactions where event_id = {ONE}",
        {"zero_sum", "one_outcome"},
    ),
    "a transaction's type": (
        f"update transactions set type = 'transaction.post.v1' where event_id = {ONE}",
        {"one_outcome", "no_loss"},
    ),
    "a transaction's effective_at": (
        f"update transactions set effective_at = effective_at - interval '1 day' where event_id = {ONE}",
        {"no_loss"},
    ),
    "a given effective_at": (
        "update transactions set effective_at = posted_at where reference = 'rent'",
        {"no_loss"},
    ),
    "a transaction's reference": (
        "update transactions set reference = 'loan' where reference = 'rent'",
        {"no_loss"},
    ),
    "a reference that was not given": (
        f"update transactions set reference = 'rent' where event_id = {ONE}",
        {"no_loss"},
    ),
    "a transaction's metadata": (
        "update transactions set metadata = '{\"a\": 2}' where metadata is not null",
        {"no_loss"},
    ),
    "what a transaction reverses": (
        f"update transactions set reverses = {ONE} where reverses is not null",
        {"no_loss", "holds"},
    ),
    "the accounts of a transaction, changed over": (
        f"update entries set line = 1 - line where event_id = {ONE}",
        {"no_loss"},
    ),
    "an entry's asset": (
        "update entries set asset = 'EUR/2' where version = 1",
        {"zero_sum", "no_loss", "versions", "holds"},
    ),
    "both assets of a transaction": (
        f"update entries set asset = 'EUR/2' where event_id = {ONE}",
        {"no_loss", "versions"},
    ),
    "a time": (
        "update entries set posted_at = posted_at - interval '1 day' where version = 3",
        {"versions"},
    ),
    "the time of a first entry": (
        "update entries set posted_at = posted_at - interval '1 day' where version = 1",
        {"versions"},
    ),
    "when a balance last moved": (
        "update balances set last_posted_at = last_posted_at + interval '1 day' where version > 1",
        {"versions"},
    ),
    "a dead letter's bytes": ("update dead_letters set value = 'poisoN'", {"no_loss"}),
    "a dead letter's key": ("update dead_letters set key = null", {"no_loss"}),
    "a dead letter's headers": ("update dead_letters set headers = '[]'", {"no_loss"}),
    "a dead letter's headers, made unreadable": ("update dead_letters set headers = '{}'", {"no_loss"}),
    "a dead letter's time": ("update dead_letters set timestamp_ms = timestamp_ms - 1", {"no_loss"}),
    "a dead letter's reason": ("update dead_letters set reason = 'too_large'", {"no_loss"}),
    "a dead letter": ("delete from dead_letters", {"no_loss"}),
    "a dead letter after the last record": (
        'insert into dead_letters select topic, "partition", 1000000, key, value, headers, timestamp_ms, reason, '
        "detail, at from dead_letters",
        {"no_loss"},
    ),
    "a dead letter of a partition that is none": (
        'insert into dead_letters select topic, 99, "offset", key, value, headers, timestamp_ms, reason, '
        "detail, at from dead_letters",
        {"no_loss"},
    ),
    "a hold": (
        "update holds set amount_left = amount_left - 1, released = released + 1",
        {"holds"},
    ),
    "a hold that is gone": (
        "delete from holds",
        {"one_outcome", "holds"},
    ),
    "a hold that was not placed": (
        f"insert into holds select {NEW_ID}, tenant_id, debit, credit, asset, 1, 0, 0, 1, 'voided', placed_at "
        "from holds",
        {"one_outcome"},
    ),
    "whom a hold is for": ("update holds set credit = 'ann'", {"no_loss", "holds"}),
    "what was captured": ("update holds set captured = captured - 1, released = released + 1", {"holds"}),
    "the accounts of a reversal, changed over": (
        "update entries set line = 1 - line "
        "where event_id in (select event_id from transactions where reverses is not null)",
        {"holds"},
    ),
    "what was reversed": ("update reversals set reversed = reversed - 1", {"holds"}),
}


@pytest.mark.parametrize("what", CORRUPTIONS)
async def test_changed_row_is_found(books: Books, what: str) -> None:
    damage, expected = CORRUPTIONS[what]
    async with planted(books, damage):
        found = await books.violations()

    assert set(found) == expected, found
    assert all(len(violation) > 1 for violations in found.values() for violation in violations)


async def test_events_of_other_topics_are_no_violation(books: Books) -> None:
    other = "insert into stream_offsets (topic, \"partition\", next_offset) values ('other', 0, 1)"
    async with planted(books, f"{other}; {ELSEWHERE}"):
        assert await books.violations() == {}


async def test_repaired_books_pass_again(books: Books) -> None:
    assert await books.violations() == {}
