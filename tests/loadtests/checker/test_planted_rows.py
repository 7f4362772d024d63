"""Each check in SQL names what was planted by hand, and nothing else does."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from loadtests.chaos.checker.chain import BROKEN, NO_HEAD, check_chain
from loadtests.chaos.checker.checks import CHECKS, files, run_checks
from loadtests.chaos.checker.deciding import judge_decisions
from loadtests.chaos.checker.log import Log
from loadtests.chaos.checker.report import Report
from loadtests.chaos.checker.run import connected, load
from tests.loadtests.checker.stage import Stage

GONE = "00000000-0000-7000-8000-000000000000"
SOME_POSTED = "(select event_id from transactions where type = 'transfer.post.v1' order by event_id limit 1)"
SOME_ENTRY = (
    "(tenant_id, balance_id, version) = "
    "(select tenant_id, balance_id, version from entries order by 1, 2, 3 desc limit 1)"
)
NO_LIMITS = "alter table balances drop constraint within_overdraft; "
PLANTED = {
    "a transaction does not sum to zero": f"update entries set amount = amount + 1 where {SOME_ENTRY}",
    "a tenant does not sum to zero": (
        "update balances set posted_credits = posted_credits + 1 "
        "where balance_id = (select min(balance_id) from balances)"
    ),
    "a transaction without a posted event": f"delete from processed_events where event_id = {SOME_POSTED}",
    "a posted event without its transaction": f"delete from transactions where event_id = {SOME_POSTED}",
    "an event has two outcomes": (
        "insert into told select \"partition\", \"offset\", tenant, event_id, 'rejected', event_type, 'account_closed' "
        "from told where kind = 'posted' limit 1"
    ),
    "a repeated outcome differs": (
        'insert into told select "partition", "offset", tenant, event_id, kind, event_type, reason, transaction, '
        "posted_at, fingerprint, 'other', entries from told where kind = 'posted' limit 1"
    ),
    "an outcome is told otherwise than it is in the books": (
        "update told set entries = replace(entries, ' USD/2 ', ' EUR/2 ') where kind = 'posted'"
    ),
    "an outcome was told of what is not in the books": (
        "insert into told select * from told where kind = 'posted' limit 1; "
        f"update told set event_id = '{GONE}' where ctid = (select max(ctid) from told)"
    ),
    "an outcome was never told as it stands": f"delete from told where event_id = {SOME_POSTED}",
    "a repeated event was not answered as one": (
        "delete from told where kind = 'duplicate' and event_id = "
        "(select event_id from told where kind = 'duplicate' and exists "
        "(select from logged l where l.event_id = told.event_id having count(*) > 1) limit 1)"
    ),
    "an event that came once was answered as a duplicate": (
        'insert into told select t."partition", t."offset", t.tenant, t.event_id, \'duplicate\' from told t '
        "where t.kind = 'posted' and 1 = (select count(*) from logged l where l.event_id = t.event_id) limit 1"
    ),
    "less: an event left no trace": (
        "delete from processed_events where kind = 'rejected' and event_id = "
        "(select min(event_id::text)::uuid from processed_events where kind = 'rejected')"
    ),
    "less: a record that is no event is no dead letter": (
        'delete from dead_letters where ("partition", "offset") = '
        '(select "partition", "offset" from dead_letters order by 1, 2 limit 1)'
    ),
    "less: an acknowledged record is not in the log": "insert into sent values (0, 1000000, '', true)",
    "less: an entry was never published": f"delete from told_entries where transaction = {SOME_POSTED}",
    "less: a dead letter was never published": "delete from told_letters",
    "more: the books know of a record that is not there": (
        'update processed_events set "offset" = 1000000 where event_id = '
        "(select min(event_id::text)::uuid from processed_events)"
    ),
    "more: a dead letter of a record that is not there": (
        'insert into dead_letters select topic, "partition", 1000000, key, value, headers, timestamp_ms, '
        "reason, detail, at from dead_letters limit 1"
    ),
    "more: the log holds what nobody sent": (
        'delete from sent where ("partition", "offset") = (select "partition", "offset" from sent limit 1)'
    ),
    "less: a transaction has no link": f"delete from chain_links where event_id = {SOME_POSTED}",
    "more: a link of no transaction": f"update chain_links set event_id = '{GONE}' where event_id = {SOME_POSTED}",
    "changed: the books know a record otherwise": (
        "update processed_events set type = 'hold.void.v1' where kind = 'rejected' and type <> 'hold.void.v1'"
    ),
    "changed: a dead letter is not its record": "update dead_letters set reason = 'too_large'",
    "changed: the log holds other bytes than were acknowledged": "update sent set digest = 'x'",
    "a balance is not the sum of its entries": (
        "update balances set posted_credits = posted_credits + 1, posted_debits = posted_debits + 1 "
        "where balance_id = (select min(balance_id) from balances)"
    ),
    "a balance is not its last entry": "update balances set last_posted_at = now()",
    "versions have a gap": f"update entries set version = version + 7 where {SOME_ENTRY}",
    "running totals do not follow": f"update entries set posted_debits = posted_debits + 1 where {SOME_ENTRY}",
    "a balance is below its overdraft": (
        NO_LIMITS + "update accounts set overdraft = 0; update balances set overdraft = 0"
    ),
    "what is held is not the sum of open holds": (
        NO_LIMITS
        + "update balances set held = held + 1 where balance_id = (select max(balance_id) from balances)"
    ),
    "a closed account is not empty": "update accounts set closed_at = now(); update balances set closed = true",
    "an entry was published otherwise than it is in the books": (
        f"update told_entries set amount = amount + 1 where transaction = {SOME_POSTED}"
    ),
    "a hold is not captured + released + left": (
        "alter table holds drop constraint holds_check; update holds set released = released + 1"
    ),
    "a hold was not captured as its transactions say": (
        "update holds set captured = captured + 1, amount = amount + 1 where event_id = "
        "(select min(event_id::text)::uuid from holds)"
    ),
    "more was reversed than was posted": (
        "update transactions set reverses = event_id where type = 'transfer.post.v1' and reverses is null"
    ),
    "a payment is not at an end": "update payments set state = 'charging', due_at = now()",
    "a payment and its hold end otherwise": (
        "update payments set state = case state when 'settled' then 'released' else 'settled' end"
    ),
    "a hold outlived its time": (
        "update holds set state = 'open', amount_left = amount, captured = 0, released = 0, "
        "expires_at = now() - interval '1 hour'"
    ),
    "a row refers to another tenant's": f"update entries set tenant_id = 1 - tenant_id where {SOME_ENTRY}",
    "an outcome or entry was told under another tenant": "update told set tenant = 'mallory'",
}


@pytest.fixture(scope="module")
async def loaded(stage: Stage) -> AsyncIterator[Any]:
    """A connection beside whose books the log stands, in a transaction that is rolled back."""
    async with connected(stage.options) as connection, Log.open(stage.options.kafka) as log:
        whole = connection.transaction()
        await whole.start()
        await load(connection, log, stage.options)
        yield connection
        await whole.rollback()


async def found(connection: Any, stage: Stage, planted: str) -> set[str]:
    """Plant, check, and take it back; gives what was found."""
    report = Report()
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(planted)
        await run_checks(connection, report, stage.options.topics.payments, chained=True)
    finally:
        await savepoint.rollback()
    return {name for each in report.invariants.values() for name in each.counts}


@pytest.mark.parametrize("what", PLANTED)
async def test_what_is_planted_is_named(loaded: Any, stage: Stage, what: str) -> None:
    assert what in await found(loaded, stage, PLANTED[what])


async def test_where_nothing_is_planted_nothing_is_named(loaded: Any, stage: Stage) -> None:
    assert await found(loaded, stage, "select 1") == set()


ONE_LINK = "(tenant_id, number) = (select tenant_id, number from chain_links order by 1, 2 limit 1)"
LAST_LINK = "(tenant_id, number) = (select tenant_id, number from chain_links order by 1, 2 desc limit 1)"


@pytest.mark.parametrize(
    ("planted", "names"),
    [
        ("select 1", set()),
        (f"update chain_links set digest = sha256(digest) where {ONE_LINK}", {BROKEN}),
        (f"update chain_links set late = not late where {ONE_LINK}", {BROKEN}),
        (f"delete from chain_links where {ONE_LINK}", {BROKEN}),
        (f"delete from chain_links where {LAST_LINK}", {NO_HEAD}),
        ("update chain_heads set hash = sha256(hash)", {NO_HEAD}),
        ("delete from chain_heads", {NO_HEAD}),
    ],
)
async def test_a_chain_that_was_changed_is_named(loaded: Any, planted: str, names: set[str]) -> None:
    report, savepoint = Report(), loaded.transaction()
    await savepoint.start()
    await loaded.execute("set local session_replication_role = replica")
    await loaded.execute(planted)
    await check_chain(loaded, report)
    await savepoint.rollback()
    assert {name for each in report.invariants.values() for name in each.counts} == names
    assert report.invariants["L"].checked > 0


@pytest.mark.parametrize(
    ("after_loss", "names"), [(False, {"posted in spite of hold_not_found"}), (True, set())]
)
async def test_a_step_that_its_saga_does_not_know_is_named_but_where_commits_were_lost(
    loaded: Any, stage: Stage, after_loss: bool, names: set[str]
) -> None:
    report, savepoint = Report(), loaded.transaction()
    await savepoint.start()
    await loaded.execute("set local session_replication_role = replica")
    await loaded.execute(
        "update payment_steps set publishes = null "
        "where publishes in (select event_id from transactions where captures is not null)"
    )
    await judge_decisions(loaded, report, stage.options.topics.payments, after_loss=after_loss)
    await savepoint.rollback()
    assert {name for each in report.invariants.values() for name in each.counts} == names


def test_each_check_has_a_violation_that_it_names() -> None:
    assert {check.what for check in CHECKS} == PLANTED.keys()


def test_each_statement_is_used() -> None:
    used = {check.file for check in CHECKS}
    others = {name for name in files() if name not in used}
    assert others == OTHERS


OTHERS = {
    *(
        "chain_heads",
        "chain_links",
        "decisions",
        "figures",
        "key_tenant",
        "known_providers",
        "forgotten_movers",
        "movers",
        "positions",
        "reversed_ids",
    ),
    *(f"sample_{name}" for name in ("accounts", "balances", "entries", "things", "windows")),
    *(f"thing_{name}" for name in ("events", "holds", "payments", "transactions")),
}
