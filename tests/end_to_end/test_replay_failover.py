"""A fail-over in the middle of a replay: it stops, nothing that was lost is passed by, and another can go on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import orjson
import pytest

from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.memory.dead_letters import MemoryDeadLetters
from ledger.application.faults import PositionGapError
from ledger.application.ports import Position
from ledger.application.replaying import NoLongerAloneError, Reached, Replay
from ledger.contract.dead_letter import Record
from ledger.contract.decode import decode_record
from streams.embedded.addresses import find_kafka
from streams.replay.alone import alone_in
from streams.replay.faults import NotReplayableError
from streams.replay.letters import closing_letters
from streams.replay.plan import Fate, Placed
from streams.replay.session import Session
from streams.replay.stages import RealBooks, WrittenDown
from streams.replay.wish import Report, Source, Wish
from tests.builders import body, encoded
from tests.end_to_end.books import WAIT_S, Books, id_of, transfer
from tests.end_to_end.command import Ledger
from tests.end_to_end.planting import TABLES, run_script

COUNT = 300
TRANSFERS = [transfer("external:bank", f"a{number % 7}", 100 + number) for number in range(COUNT)]
EVERYTHING = (*TABLES, "replays", "tenants")
NOTHING = """
    truncate tenants, accounts, balances, transactions, entries, holds, reversals, processed_events cascade;
    update stream_offsets set next_offset = 0
"""
REPLICATED = "; ".join(f"create table standby_{name} as select * from {name}" for name in EVERYTHING)
TAKEN_OVER = "; ".join(
    f"delete from {name}; insert into {name} overriding system value select * from standby_{name}; "
    f"drop table standby_{name}"
    for name in EVERYTHING
)
ENDED = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'ledger-replay%'"


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    """Books whose worker has posted everything, and gone."""
    directory = tmp_path_factory.mktemp("failover")
    async with Books.open(kafka, postgres_dsn, "replay_failover", directory) as books:
        await books.send(TRANSFERS)
        async with books.worker() as worker:
            await books.until_handled(COUNT)
            assert await worker.end() == 0, worker.log
        yield books


async def replayed(books: Books, **wish: Any) -> Report:
    return await Session(books.settings, Wish(target="live", by="tests", why="a test", **wish)).run()


async def posted(books: Books) -> int:
    [row] = await books.sql("select count(*) as n from processed_events")
    return int(row["n"])


async def until(books: Books, reached: Callable[[], Any], running: "asyncio.Task[Report]") -> None:
    deadline = monotonic() + WAIT_S
    while not await reached():
        assert not running.done(), running.result()
        assert monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_replay_does_not_ride_through_a_fail_over(books: Books) -> None:
    before = await books.balances()
    await run_script(books, NOTHING)
    running = asyncio.create_task(replayed(books, since_books=True, rate=100))

    async def moved() -> bool:
        return await books.handled() > 0

    await until(books, moved, running)
    # What reached the standby: the positions as they were last moved, and what was committed until now.
    await run_script(books, f"begin isolation level repeatable read; {REPLICATED}; commit")
    had = await posted(books)

    async def went_on() -> bool:
        return await posted(books) >= had + 10

    await until(books, went_on, running)
    await run_script(books, f"{ENDED}; {TAKEN_OVER}")
    with pytest.raises(NoLongerAloneError, match="--resume goes on from there"):
        await running
    assert await posted(books) < COUNT
    report = await replayed(books, resume=True)
    assert report.told.different == []
    assert await books.balances() == before
    assert await books.violations() == {}


async def positions(books: Books) -> dict[int, int]:
    return {
        row["partition"]: row["next_offset"]
        for row in await books.sql('select "partition", next_offset from stream_offsets')
    }


async def times_told(books: Books) -> dict[str, set[str]]:
    """At which times each event was said to be decided, by its id."""
    told: dict[str, set[str]] = {}
    for record in await books.records(books.settings.outcomes_topic):
        data = orjson.loads(record.value)["data"]
        told.setdefault(data["event_id"], set()).add(data["posted_at"])
    return told


async def test_what_was_published_and_not_noted_in_the_group_comes_out_as_it_was_told(books: Books) -> None:
    before, told, ends = await books.balances(), await books.outcomes(), await positions(books)
    await run_script(books, NOTHING)
    async with KafkaGroup.open(find_kafka(books.settings), books.settings.posting_group) as group:
        await group.move(books.settings.payments_topic, {at: max(1, end - 10) for at, end in ends.items()})
    unposted = [transfer("external:bank", f"a{number % 7}", 1) for number in range(20)]
    # What comes again was handled where it came first: it says nothing of what came before it here.
    again = [*TRANSFERS[:7], *TRANSFERS[-7:]]
    await books.send([*unposted, *again])
    report = await replayed(books, since_books=True)
    assert report.source.lanes == {at: (0, end) for at, end in ends.items()}
    assert "different" not in report.told.counts
    assert await books.balances() == before
    async with books.worker() as worker:
        await books.until_handled(COUNT + len(unposted) + len(again))
        assert await worker.end() == 0, worker.log
    after = await books.outcomes()
    assert after.keys() - told.keys() == {id_of(each) for each in unposted}
    # Whatever was told of an event was told at the same time.
    assert {len(times) for times in (await times_told(books)).values()} == {1}
    assert await books.violations() == {}


async def rebuilt(books: Books, schema: str) -> int:
    """Count what a rebuild has posted so far; its schema may not be there yet."""
    [table] = await books.sql(f"select to_regclass('{schema}.processed_events') as name")
    if table["name"] is None:
        return 0
    [row] = await books.sql(f"select count(*) as n from {schema}.processed_events")
    return int(row["n"])


async def test_a_command_whose_session_was_ended_exits_with_3_and_can_be_gone_on_with(books: Books) -> None:
    ledger = Ledger(books.directory, books.environment)
    into = ("replay", "--into", "failed_over_into")
    running = asyncio.create_task(asyncio.to_thread(ledger.run, *into, "--rate", "100"))
    deadline = monotonic() + WAIT_S
    while not await rebuilt(books, "failed_over_into"):
        assert not running.done()
        assert monotonic() < deadline
        await asyncio.sleep(0.05)
    assert await books.sql(ENDED)
    stopped = await running
    assert (stopped.returncode, "know nothing of this run any more" in stopped.stderr) == (3, True), stopped
    done = await asyncio.to_thread(ledger.run, *into, "--resume")
    assert (done.returncode, "the digest is that of the live books" in done.stdout) == (0, True), done


# The lock


async def begun(real: RealBooks, replay_id: str) -> None:
    await real.records.begin(Replay(replay_id, "into", {"kind": "topic"}, "tests", "", datetime.now(UTC)))


async def state_of(books: Books, replay_id: str) -> str:
    [row] = await books.sql(
        "select state::text, (select max(next_offset) from stream_offsets where topic = 'of the lock') as moved "
        "from replays where replay_id = $1::text::uuid",
        replay_id,
    )
    return f"{row['state']} {row['moved']}"


async def test_whose_lock_is_gone_neither_writes_down_nor_moves_the_books(books: Books) -> None:
    dsn, schema = str(books.settings.postgres_dsn), books.settings.postgres_schema
    replay_id = "0199aaaa-0000-7000-8000-00000000000c"
    async with RealBooks.open(books.settings, dsn) as real:
        await begun(real, replay_id)
        async with alone_in(dsn, schema) as run:
            source = Source("topic", {0: (0, 9)}, "of the lock")
            kept = WrittenDown(real, replay_id, run, source, {}, moves=True)
            await kept.save({0: Reached(5, datetime.now(UTC))}, {})
            stood = await state_of(books, replay_id)
            assert stood.endswith(" 5")
            await books.sql(ENDED.replace("%", "-lock"))
            # Somebody else goes on meanwhile: that lock is another's.
            async with alone_in(dsn, schema) as other:
                for ended in (False, True):
                    with pytest.raises(NoLongerAloneError):
                        await kept.save({0: Reached(9, datetime.now(UTC))}, {}, ended=ended)
                assert await state_of(books, replay_id) == stood
                await real.records.save(replay_id, other, {}, {}, datetime.now(UTC), ended=True)


async def test_a_position_that_is_not_moved_leaves_the_record_as_it_was(books: Books) -> None:
    dsn, replay_id = str(books.settings.postgres_dsn), "0199aaaa-0000-7000-8000-00000000000d"
    async with RealBooks.open(books.settings, dsn) as real, alone_in(dsn, "any") as run:
        await begun(real, replay_id)
        stood = await state_of(books, replay_id)
        now, gap = datetime.now(UTC), [Position("of the lock", 1, 3, 4)]
        with pytest.raises(PositionGapError, match="would be skipped"):
            await real.records.save(replay_id, run, {1: Reached(4, now)}, {}, now, moved=gap)
        assert await state_of(books, replay_id) == stood
        await real.records.save(replay_id, run, {}, {}, datetime.now(UTC), ended=True)


async def test_a_replay_begins_by_the_clock_of_the_books(books: Books) -> None:
    replay_id = "0199aaaa-0000-7000-8000-00000000000e"
    ahead = datetime.now(UTC) + timedelta(hours=5)
    async with RealBooks.open(books.settings, str(books.settings.postgres_dsn)) as real:
        begun = await real.records.begin(Replay(replay_id, "into", {"kind": "topic"}, "tests", "", ahead))
    [row] = await books.sql(
        "select started_at, now() from replays where replay_id = $1::text::uuid", replay_id
    )
    assert begun.started_at == row["started_at"] <= row["now"] < ahead - timedelta(hours=4)


async def test_who_holds_the_lock_is_named(books: Books) -> None:
    dsn = str(books.settings.postgres_dsn)
    for schema in ("one_name", "another_name"):  # their hashes have either sign
        async with alone_in(dsn, schema):
            [row] = await books.sql(
                "select pid from pg_stat_activity where application_name = 'ledger-replay-lock'"
            )
            said = rf"Another replay into {schema} is running, by the session with the pid {row['pid']} since 20\d\d-"
            with pytest.raises(NotReplayableError, match=said):
                async with alone_in(dsn, schema):
                    pass
        async with alone_in(dsn, schema):
            pass


async def test_no_letter_is_closed_whose_outcome_a_fail_over_may_have_lost() -> None:
    letters, found = (
        MemoryDeadLetters(),
        Record("payments", 0, 7, None, encoded(body(name="a letter")), (), 1),
    )

    async def gone() -> None:
        raise NoLongerAloneError

    known = Placed(datetime.now(UTC), 0, 7, Fate.KNOWN, event=decode_record(found))
    with pytest.raises(NoLongerAloneError):
        await closing_letters(letters, "tests", "a test", gone)([known], [])
    assert letters.actions == []
