"""Replays into live books on real servers: killed and gone on with, dead letters posted, planted differences named."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from ledger.application.compare_books import Comparison, View
from ledger.application.dead_letters import Place
from streams.dead_letters import kept_letters
from streams.replay.alone import alone_in
from streams.replay.faults import NotReplayableError
from streams.replay.plan import Filters
from streams.replay.session import Session
from streams.replay.side_by_side import compare_schemas
from streams.replay.stages import RealBooks, WrittenDown
from streams.replay.wish import Report, Source, Wish
from tests.end_to_end.books import Books, event, id_of, transfer
from tests.end_to_end.command import Ledger
from tests.end_to_end.planting import planted, run_script

COUNT = 300
TRANSFERS = [transfer("external:bank", f"a{number % 7}", 100 + number) for number in range(COUNT)]
SMALL = {"LEDGER_BATCH_RECORDS_MAX": "40"}
LIVE = ("replay", "--live", "--yes", "--why", "a test")
# What a standby that took over has, if it was a while behind: nothing.
LOST = """
    truncate tenants, accounts, balances, transactions, entries, holds, reversals, processed_events cascade;
    update stream_offsets set next_offset = 0
"""


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    """Books whose worker has posted everything, and gone."""
    async with Books.open(kafka, postgres_dsn, "replay_live", tmp_path_factory.mktemp("live")) as books:
        await books.send(TRANSFERS)
        async with books.worker() as worker:
            await books.until_handled(COUNT)
            assert await worker.end() == 0, worker.log
        yield books


async def command(books: Books, *arguments: str, **changes: str) -> Any:
    ledger = Ledger(books.directory, {**books.environment, **changes})
    return await asyncio.to_thread(ledger.run, *arguments)


async def replayed(books: Books, **wish: Any) -> Report:
    return await Session(books.settings, Wish(by="tests", why="a test", **wish)).run()


async def said_of_entries(books: Books) -> dict[tuple[str, int], set[bytes]]:
    """What was published of each entry, however often, without the id of the telling."""
    said: dict[tuple[str, int], set[bytes]] = {}
    for record in await books.records(books.settings.entries_topic):
        data = orjson.loads(record.value)["data"]
        said.setdefault((data["account"], data["version"]), set()).add(orjson.dumps(data))
    return said


# Killed on the way


@pytest.mark.parametrize("point", ["before_commit:3", "committed:3"])
async def test_what_was_lost_comes_again_though_the_replay_was_killed(books: Books, point: str) -> None:
    before = await books.balances()
    await run_script(books, LOST)
    await books.sql(
        "insert into chain_progress (complete_before) values (now()) "
        "on conflict (only_row) do update set complete_before = excluded.complete_before"
    )
    died = await command(books, *LIVE, "--since-books", **SMALL, LEDGER_CRASH=point)
    assert died.returncode == 137, died.stderr
    [row] = await books.sql("select count(*) as n from processed_events")
    assert 0 < row["n"] < COUNT

    with pytest.raises(
        NotReplayableError, match=r"No such replay was stopped .* the replay of what the books had lost"
    ):
        await replayed(books, target="live", resume=True, filters=Filters(ids=[id_of(TRANSFERS[0])]))
    done = await command(books, *LIVE, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert "Going on with the replay of what the books had lost (300 records) that" in done.stderr
    assert orjson.loads(done.stdout)["counts"].get("different", 0) == 0
    assert await books.balances() == before
    # The audit chain is not taken to be done with what stands under old times, and has no link yet.
    assert await books.violations() == {}
    await books.sql("delete from chain_progress")
    assert {len(said) for said in (await said_of_entries(books)).values()} == {1}
    assert set(await books.outcomes()) == {id_of(each) for each in TRANSFERS}


async def test_a_replay_that_came_to_its_end_is_not_gone_on_with(books: Books) -> None:
    again = await command(books, *LIVE, "--resume")
    assert (again.returncode, "came to its end" in again.stderr) == (2, True), again.stderr


async def test_a_replay_of_an_account_is_begun_anew(books: Books) -> None:
    into = ("replay", "--into", "replay_account")
    died = await command(books, *into, "--account", "a1", **SMALL, LEDGER_CRASH="committed:1")
    assert died.returncode == 137, died.stderr
    again = await command(books, *into, "--resume")
    assert (again.returncode, "begin it anew" in again.stderr) == (2, True), again.stderr


# Planted by hand


@pytest.fixture(scope="module")
async def rebuilt(books: Books) -> str:
    """The schema of books that are as they should be."""
    report = await replayed(books, target="into", name="replay_planted")
    assert report.proof is not None
    assert report.proof.same
    return "replay_planted"


async def compared(books: Books, rebuilt: str, view: View) -> Comparison:
    return await compare_schemas(books.settings, books.settings.postgres_schema, rebuilt, view)


async def newest_of(books: Books, account: str) -> Any:
    [row] = await books.sql(
        'select e.event_id::text as id, e.version, e.amount, p."partition", p."offset" from entries e '
        "join balances b using (tenant_id, balance_id) join accounts a using (tenant_id, account_id) "
        "join processed_events p on p.event_id = e.event_id where a.code = $1 order by e.version desc limit 1",
        account,
    )
    return row


async def test_an_amount_that_was_changed_is_named(books: Books, rebuilt: str) -> None:
    entry = await newest_of(books, "a3")
    change = f"update entries set amount = amount + 5 where event_id = '{entry['id']}' and amount > 0"
    async with planted(books, change):
        found, (difference, *more) = (
            await books.violations(),
            (await compared(books, rebuilt, View.ENTRIES)).differences,
        )
    assert (difference.account, difference.entry, more) == ("a3", entry["version"], [])
    assert difference.left_entry is not None
    assert (difference.left_entry.event_id, difference.left_entry.amount) == (
        entry["id"],
        entry["amount"] + 5,
    )
    assert [each["event"] for each in found["zero_sum"] if each["event"]] == [entry["id"]]
    assert [(each["account"], each["version"]) for each in found["versions"]] == [("a3", entry["version"])]
    assert [each["account"] for each in found["balances"]] == ["a3"]
    assert [(each["verdict"], each["event"]) for each in found["no_loss"]] == [("changed", entry["id"])]


async def test_a_rebuild_does_not_prove_books_whose_entries_do_not_make_their_balances(books: Books) -> None:
    entry = await newest_of(books, "a3")
    change = f"update entries set amount = amount + 5 where event_id = '{entry['id']}' and amount > 0"
    async with planted(books, change):
        report = await replayed(books, target="into", name="replay_changed")
    assert report.proof is not None
    assert not report.proof.same
    assert [each["account"] for each in (report.differences or {})["differences"]] == ["a3"]


def dropped(event_id: str) -> str:
    """Take an event, the newest of its accounts, out of the books without a trace."""
    return f"""
        update balances b set version = b.version - 1, last_posted_at = p.posted_at,
            posted_debits = p.posted_debits, posted_credits = p.posted_credits
        from entries e, entries p where e.event_id = '{event_id}' and b.tenant_id = e.tenant_id
            and b.balance_id = e.balance_id and p.tenant_id = e.tenant_id and p.balance_id = e.balance_id
            and p.version = e.version - 1;
        delete from entries where event_id = '{event_id}';
        delete from transactions where event_id = '{event_id}';
        delete from processed_events where event_id = '{event_id}'
    """


async def test_an_event_that_was_dropped_is_named(books: Books, rebuilt: str) -> None:
    newest = await newest_of(books, "external:bank")
    async with planted(books, dropped(newest["id"])):
        found, comparison = await books.violations(), await compared(books, rebuilt, View.BALANCES)
    assert set(found) == {"no_loss"}
    assert [(each["verdict"], each["event"], each["offset"]) for each in found["no_loss"]] == [
        ("less", newest["id"], newest["offset"])
    ]
    assert len(comparison.differences) == 2
    assert {each.left_entry for each in comparison.differences} == {None}
    assert {each.right_entry and each.right_entry.event_id for each in comparison.differences} == {
        newest["id"]
    }


TWICE = "0199aaaa-0000-7000-8000-0000000000aa"


def twice(event_id: str) -> str:
    """Post a transaction once more by hand, in every table as a worker would have."""
    columns = "fingerprint, type, kind, reason, detail, posted_at"
    return f"""
        insert into processed_events (event_id, tenant_id, {columns})
            select '{TWICE}', tenant_id, {columns} from processed_events where event_id = '{event_id}';
        insert into transactions (event_id, tenant_id, type, posted_at, effective_at)
            select '{TWICE}', tenant_id, type, now(), now() from transactions where event_id = '{event_id}';
        insert into entries (tenant_id, balance_id, version, event_id, line, asset, amount, posted_debits,
                             posted_credits, posted_at)
            select tenant_id, balance_id, b.version + 1, '{TWICE}', e.line, e.asset, e.amount,
                b.posted_debits + greatest(-e.amount, 0), b.posted_credits + greatest(e.amount, 0), now()
            from entries e join balances b using (tenant_id, balance_id) where event_id = '{event_id}';
        update balances b set version = e.version, posted_debits = e.posted_debits,
            posted_credits = e.posted_credits, last_posted_at = e.posted_at
        from entries e where e.event_id = '{TWICE}' and b.tenant_id = e.tenant_id and b.balance_id = e.balance_id
    """


async def test_a_transaction_that_was_posted_twice_is_named(books: Books, rebuilt: str) -> None:
    once = await newest_of(books, "a5")
    async with planted(books, twice(once["id"])):
        found, comparison = await books.violations(), await compared(books, rebuilt, View.BALANCES)
    assert TWICE in orjson.dumps(found).decode()
    assert [(each["verdict"], each["event"]) for each in found["no_loss"]] == [("more", TWICE)]
    assert {each.account for each in comparison.differences} == {"a5", "external:bank"}
    assert {each.left_entry and each.left_entry.event_id for each in comparison.differences} == {TWICE}
    assert {each.right_entry for each in comparison.differences} == {None}


async def drop_newest(books: Books, count: int) -> list[str]:
    """Take the newest events out of the books; gives their ids."""
    newest = await books.sql(
        "select event_id::text as id from entries join balances using (tenant_id, balance_id) "
        "join accounts using (tenant_id, account_id) where code = 'external:bank' "
        f"order by entries.version desc limit {count}"
    )
    await run_script(books, "; ".join(dropped(row["id"]) for row in newest))
    return [row["id"] for row in newest]


async def unfinished(books: Books) -> int:
    [row] = await books.sql("select count(*) as n from replays where ended_at is null")
    return int(row["n"])


async def test_what_was_dropped_is_posted_again_though_the_replay_was_killed(
    books: Books, rebuilt: str
) -> None:
    before = await books.balances()
    newest = await drop_newest(books, 60)
    assert len((await books.violations())["no_loss"]) == len(newest)
    died = await command(books, *LIVE, LEDGER_BATCH_RECORDS_MAX="20", LEDGER_CRASH="committed:2")
    assert died.returncode == 137, died.stderr
    [left] = await books.sql("select count(*) as n from processed_events")
    assert left["n"] == COUNT - 20

    done = await command(books, *LIVE, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert await books.balances() == before
    assert await books.violations() == {}
    again = await command(books, *LIVE, "--json")
    assert orjson.loads(again.stdout)["verdict"] == "nothing changed"


async def test_what_a_killed_replay_left_is_published_by_one_that_is_begun_anew_and_none_begins_unaware(
    books: Books, rebuilt: str
) -> None:
    before, seen = await books.balances(), await books.outcomes()
    newest = await drop_newest(books, 60)
    died = await command(books, *LIVE, LEDGER_BATCH_RECORDS_MAX="20", LEDGER_CRASH="committed:2")
    assert died.returncode == 137, died.stderr
    unaware = await command(books, *LIVE)
    assert (unaware.returncode, "--resume goes on with it; --anew begins" in unaware.stderr) == (2, True)

    # Neither what the books have lost nor a part of what was left is all that was left.
    await replayed(books, target="live", since_books=True)
    await replayed(books, target="live", anew=True, filters=Filters(ids=newest[:1]))
    assert await unfinished(books) == 1
    done = await command(books, *LIVE, "--anew")
    assert done.returncode == 0, done.stderr
    assert await books.balances() == before
    again = await books.outcomes()
    assert [each for each in newest if again[each].total() == seen[each].total()] == []
    assert await unfinished(books) == 0


async def test_two_replays_into_the_same_books_never_run_at_a_time(books: Books, rebuilt: str) -> None:
    schema = books.settings.postgres_schema
    async with alone_in(str(books.settings.postgres_dsn), schema):
        for resume in (False, True):
            with pytest.raises(NotReplayableError, match=f"Another replay into {schema} is running"):
                await replayed(books, target="live", resume=resume)


async def test_a_replay_that_has_ended_stays_so(books: Books, rebuilt: str) -> None:
    [row] = await books.sql("select replay_id::text as id, ended_at from replays order by started_at limit 1")
    dsn = str(books.settings.postgres_dsn)
    async with RealBooks.open(books.settings, dsn) as real, alone_in(dsn, "any") as run:
        assert not await real.records.save(row["id"], run, {}, {}, datetime.now(UTC))
        with pytest.raises(NotReplayableError, match="Another run"):
            await WrittenDown(real, row["id"], run, Source("topic", {}), {}, moves=False).save({}, {})
    ended = await books.sql("select ended_at from replays where replay_id = $1::text::uuid", row["id"])
    assert ended[0]["ended_at"] == row["ended_at"] is not None


# Dead letters

LETTERS = [
    event("transfer.post.v1", {"debit": "external:bank", "credit": "late", "amount": 10 + number, "asset": "USD/2",
                               "metadata": {"note": "x" * 2000}})
    for number in range(5)
]  # fmt: skip
REFUSED = event(
    "transfer.post.v1",
    {"debit": "late", "credit": "x", "amount": 10**9, "asset": "USD/2", "metadata": {"note": "x" * 2000}},
)


@pytest.fixture(scope="module")
async def letters(books: Books, rebuilt: str) -> list[str]:
    """Letters of a release that took no record of more than a KiB: six are events, one is none."""
    await books.send([*LETTERS, REFUSED], [b"late"] * 6)
    await books.send([b"no event"], [b"late"])
    async with books.worker(LEDGER_RECORD_BYTES_MAX="1024") as worker:
        await books.until_handled(COUNT + 7)
        assert await worker.end() == 0, worker.log
    rows = await books.sql('select topic, "partition", "offset" from dead_letters order by "offset"')
    return ["/".join(map(str, row)) for row in rows]


async def test_a_replay_of_the_topic_leaves_dead_letters_to_the_operator(
    books: Books, letters: list[str]
) -> None:
    for target, verdict in (("dry-run", "nothing would change"), ("live", "nothing changed")):
        report = await replayed(books, target=target)
        assert (report.verdict, report.told.counts["was_dead_letter"]) == (verdict, 6)


async def test_letters_that_are_events_by_now_are_posted_and_closed_though_killed(
    books: Books, letters: list[str]
) -> None:
    assert len(letters) == 7
    small = {"LEDGER_BATCH_RECORDS_MAX": "2"}
    died = await command(books, *LIVE, "--dead-letters", **small, LEDGER_CRASH="committed:2")
    assert died.returncode == 137, died.stderr
    open_ones = await books.sql(
        'select l."offset" from dead_letters l left join dead_letter_actions a using (topic, "partition", "offset") '
        "where a.action is null"
    )
    # Posted and not written down: the two of the batch that it died of.
    assert len(open_ones) == 5
    drop = await command(books, "dlq", "drop", letters[2], "--yes", "--why", "a test")
    assert (drop.returncode, "books have posted" in drop.stderr) == (1, True), drop.stderr

    done = await command(books, *LIVE, "--dead-letters", "--json")
    assert done.returncode == 0, done.stderr
    assert (await books.balances())["late"] == sum(range(10, 15))
    listed = orjson.loads((await command(books, "dlq", "list", "--all", "--json")).stdout)["letters"]
    told = [(each["state"], each["action"] and each["action"]["why"]) for each in listed]
    posted, refused = "replayed, posted: a test", "replayed, insufficient_funds: a test"
    assert told == [*[("requeued", posted)] * 5, ("requeued", refused), ("open", None)]


async def test_every_outcome_of_a_letter_is_published(books: Books, letters: list[str]) -> None:
    seen = await books.outcomes()
    kinds = Counter(kind for each in (*LETTERS, REFUSED) for kind in seen[id_of(each)])
    assert kinds == {"event.posted.v1": 5, "event.rejected.v1": 1}


async def test_letters_that_were_posted_are_no_violation_and_nothing_is_left_to_do(
    books: Books, letters: list[str]
) -> None:
    assert await books.violations() == {}
    async with kept_letters(books.settings) as kept, kept.held():
        replaying = asyncio.create_task(replayed(books, target="live", source="dead-letters"))
        # Not while somebody has letters in hand.
        assert not (await asyncio.wait([replaying], timeout=0.9))[0]
    assert (await replaying).verdict == "nothing changed"
    with pytest.raises(NotReplayableError, match=f"{letters[0]} was requeued by"):
        await replayed(books, target="live", source="dead-letters", places=[Place.parse(letters[0])])


async def test_books_with_letters_that_were_posted_can_be_rebuilt(books: Books, tmp_path: Path) -> None:
    report = await replayed(books, target="into", name="replay_letters")
    assert report.told.different == []
    assert report.proof is not None
    assert report.proof.same
