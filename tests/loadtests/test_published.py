"""What was published is held against the books, entry by entry; what is wrong in it is named."""

from asyncio import to_thread
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from time import time
from uuid import UUID

import orjson
import pytest

from ledger.config import Settings
from loadtests.bench.ground import lay
from loadtests.bench.packing import Filler
from loadtests.bench.published import Lines, check_published, unread
from loadtests.bench.stage import Stage, Wishes, servers, stage
from loadtests.expected import ExpectedBooks, Standing
from loadtests.workloads import Ground, Record

AMOUNTS = (-5, 7, -3, 11)
ACCOUNT = ("acme", "shop", "USD/2")
Change = Callable[[list[bytes]], Sequence[bytes]]


def published(account: str = "shop", amounts: Sequence[int] = AMOUNTS, first: int = 1) -> list[bytes]:
    """The records of an account's entries; those before `first` were never published."""
    records, debits, credits_ = [], 0, 0
    for version, amount in enumerate(amounts, 1):
        debits, credits_ = debits - min(amount, 0), credits_ + max(amount, 0)
        line = {"account": account, "asset": "USD/2", "amount": amount, "version": version}
        sums = {"posted_debits": debits, "posted_credits": credits_, "balance": credits_ - debits}
        records.append(orjson.dumps({"tenant": "acme", "data": line | sums}))
    return records[first - 1 :]


def books(*, standing: int = 0) -> ExpectedBooks:
    """The books of those entries, the first so many of which stood before."""
    found = ExpectedBooks()
    for number, amount in enumerate(AMOUNTS):
        if number == standing:
            found.ground_ends()
        found.move(ACCOUNT, amount)
    return found


def faults(records: Sequence[bytes], expected: ExpectedBooks) -> list[str]:
    """What is found wrong."""
    lines = Lines()
    for record in records:
        lines.take(record)
    return list(lines.faults(expected))


def altered(record: bytes, **changes: int) -> bytes:
    """The record with other numbers."""
    entry = orjson.loads(record)
    return orjson.dumps(entry | {"data": entry["data"] | changes})


@pytest.mark.parametrize("seed", range(12))
def test_entries_may_come_in_any_order_and_again(seed: int) -> None:
    records = published() * 2
    Random(seed).shuffle(records)

    assert faults(records, books()) == []


def test_entries_after_those_that_stood_before_are_as_expected() -> None:
    assert faults(published(first=3), books(standing=2)) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda records: [], "entries topic has 0 different entries, expected 4"),
        (
            lambda records: records[:-1],
            "entries topic: acme/shop USD/2 ends at (3, 8, 7), expected (4, 8, 18)",
        ),
        (lambda records: records[1:], "entries topic: acme/shop USD/2 begins with (2, 5, 0)"),
        (
            lambda records: [records[0], *records[2:]],
            "entries topic: acme/shop USD/2 has versions 1 to 1, and 3",
        ),
        (lambda records: [*records[:3], records[2]], "entries topic has 3 different entries, expected 4"),
        (
            lambda records: [*records[:2], altered(records[2], amount=-4), records[3]],
            "entries topic: acme/shop USD/2 version 3 does not fit",
        ),
        (
            lambda records: [*records[:3], altered(records[3], amount=12, posted_credits=19)],
            "entries topic: acme/shop USD/2 ends at (4, 8, 19)",
        ),
        (
            lambda records: [altered(record, posted_debits=9) for record in records[:1]],
            "entries topic: acme/shop USD/2 begins with (1, 4, 0)",
        ),
        (
            lambda records: [*records, *published("thief")],
            "entries topic has 1 accounts that are not expected",
        ),
    ],
    ids=["none", "last", "first", "hole", "twice", "amount", "sum", "opening", "unknown"],
)
def test_what_is_wrong_with_entries_is_named(change: Change, named: str) -> None:
    found = faults(change(published()), books())

    assert any(fault.startswith(named) for fault in found), found


@pytest.fixture
async def laid(kafka: str, postgres_dsn: str) -> AsyncIterator[Stage]:
    settings = Settings(kafka_bootstrap=kafka, postgres_dsn=postgres_dsn)
    async with servers(settings) as shared, stage(shared, Wishes(partitions=2)) as made:
        await lay(made, Ground(accounts=7), int(time() * 1000))
        yield made


async def test_ids_without_an_outcome_and_outcomes_of_no_id_are_counted(laid: Stage) -> None:
    stood, sent = ExpectedBooks(standing=Standing(ids=7)), ExpectedBooks()
    unknown = {"tenant": "acme", "data": {"event_id": str(UUID(int=9))}}
    async with laid.connection() as connection:
        before = await check_published(laid, connection, stood)
        lacking = await check_published(laid, connection, sent)
        filler = Filler(laid.servers.kafka, laid.settings.outcomes_topic)
        await to_thread(filler.write, [Record(None, orjson.dumps(unknown))] * 3)
        more = await check_published(laid, connection, stood)

    assert before == []
    assert lacking == ["outcomes topic lacks 7 ids of the books"]
    assert more == ["outcomes topic has 1 ids that are not in the books"]
    assert await unread(laid, read_max=3) == []
    assert await unread(laid, read_max=2) == [
        "Topics of more than 2 records were counted only, and not read by the check."
    ]
