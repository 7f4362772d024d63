"""A client of another make, with its own partitioner, that writes contract events gets what the contract says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import orjson
import pytest
from aiokafka.partitioner import murmur2
from confluent_kafka import Producer

from ledger.adapters.system import new_event_id
from tests.end_to_end.books import Books, id_of, transfer

POISON: list[tuple[bytes | None, str]] = [
    (None, "malformed_json"),
    (b"", "malformed_json"),
    (b"not json", "malformed_json"),
    (b'{"id": "\xff\xfe"}', "malformed_json"),
    (b'{"amount": NaN}', "malformed_json"),
    (b"[" * 100_000, "malformed_json"),
    (b"[]", "invalid_envelope"),
    (b"x" * (256 * 1024 + 1), "too_large"),
    (transfer("external:a", "b", 1).replace(b"transfer.post.v1", b"transfer.post.v7"), "unsupported_version"),
    (transfer("external:a", "b", 1).replace(b"transfer.post.v1", b"transfer.wish.v1"), "unknown_type"),
    (transfer("external:a", "b", 1).replace(b'"amount":1', b'"amount":1.0'), "invalid_data"),
    (transfer("external:a", "b", 1).replace(b'"amount":1', b'"amount":1,"tip":1'), "invalid_data"),
]


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    async with (
        Books.open(kafka, postgres_dsn, "foreign", tmp_path_factory.mktemp("foreign")) as books,
        books.worker(),
    ):
        yield books


def produce(books: Books, records: list[tuple[bytes | None, bytes | None]], **headers: bytes) -> None:
    """Send records by librdkafka, which hashes keys by itself."""
    producer = Producer(
        {
            "bootstrap.servers": books.settings.kafka_bootstrap,
            "partitioner": "murmur2_random",
            "message.max.bytes": 2_000_000,
        }
    )
    for key, value in records:
        producer.produce(books.settings.payments_topic, value, key, headers=list(headers.items()))
    assert producer.flush(30) == 0


async def test_balances_agree_with_independent_sum(books: Books) -> None:
    random = Random(7)
    sums: Counter[str] = Counter()
    records: list[tuple[bytes | None, bytes | None]] = []
    for _ in range(3000):
        debit, credit = (f"external:{number}" for number in random.sample(range(40), 2))
        amount = random.randrange(1, 10**6)
        sums[debit] -= amount
        sums[credit] += amount
        value = transfer(debit, credit, amount)
        records += [(f"acme/{debit}".encode(), value)] * (2 if random.random() < 0.3 else 1)
    before = await books.handled()

    await asyncio.to_thread(produce, books, records)
    await books.until_handled(before + len(records))

    assert {code: net for code, net in (await books.balances()).items() if code in sums} == dict(sums)
    seen = await books.until_answered({id_of(value) for _, value in records if value})
    assert all(outcomes["event.posted.v1"] >= 1 for outcomes in seen.values())
    await entries_tell_the_same(books, sums)


async def entries_tell_the_same(books: Books, sums: Counter[str]) -> None:
    """Every account's entries on the topic join without a gap and end in its balance."""
    expected = {account: (await books.versions())[account] for account in sums}
    published = await books.until_published(expected)
    for account, total in sums.items():
        entries = published[account]
        assert [entry["version"] for entry in entries] == list(range(1, len(entries) + 1))
        assert sum(entry["amount"] for entry in entries) == entries[-1]["balance"] == total


async def test_poison_is_kept_byte_for_byte(books: Books) -> None:
    before, good = await books.handled(), transfer("external:a", "poison:survivor", 5)
    records: list[tuple[bytes | None, bytes | None]] = [(b"acme/poison", value) for value, _ in POISON]

    await asyncio.to_thread(produce, books, [*records, (b"acme/poison", good)], origin=b"\x00\xff")
    await books.until_handled(before + len(records) + 1)

    rows = await books.sql('select value, key, reason from dead_letters order by "offset"')
    assert [(row["value"], row["reason"]) for row in rows] == POISON
    assert (await books.balances())["poison:survivor"] == 5
    await dead_letters_are_published(books)


async def dead_letters_are_published(books: Books) -> None:
    letters = await books.until_records(books.settings.dead_letters_topic, len(POISON))
    assert sorted(letter.value or b"" for letter in letters) == sorted(value or b"" for value, _ in POISON)
    headers = [dict(letter.headers) for letter in letters]
    assert all(each["origin"] == b"\x00\xff" and each["ledger-reason"] for each in headers)


async def test_same_id_with_other_content_is_refused(books: Books) -> None:
    before, event_id = await books.handled(), new_event_id()
    first, second = (transfer("external:a", "reuse:b", amount, event_id) for amount in (10, 99))

    await asyncio.to_thread(produce, books, [(b"k", first), (b"k", second), (b"k", first)])
    await books.until_handled(before + 3)

    assert (await books.balances())["reuse:b"] == 10
    seen = await books.until_answered({event_id})
    while seen[event_id].total() < 3:
        seen = await books.outcomes()
    outcomes = [orjson.loads(each.value) for each in await books.records(books.settings.outcomes_topic)]
    mine = [outcome for outcome in outcomes if outcome["id"] == event_id]
    assert [outcome["type"] for outcome in mine] == [
        "event.posted.v1",
        "event.rejected.v1",
        "event.duplicate.v1",
    ]
    assert mine[1]["data"]["reason"] == "event_id_reused"


async def test_outcomes_keep_the_key_they_came_with(books: Books) -> None:
    before, value = await books.handled(), transfer("external:a", "keyed:b", 1)
    key = b"\xff any bytes"

    await asyncio.to_thread(produce, books, [(key, value)])
    await books.until_handled(before + 1)
    await books.until_answered({id_of(value)})

    records: list[Any] = await books.records(books.settings.outcomes_topic)
    outcome = next(record for record in records if orjson.loads(record.value)["id"] == id_of(value))
    assert outcome.key == key
    assert outcome.partition == (murmur2(key) & 0x7FFFFFFF) % books.settings.partitions


async def test_the_books_verify(books: Books) -> None:
    assert await books.violations() == {}
