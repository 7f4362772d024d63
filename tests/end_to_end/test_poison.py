"""Records that no stream may stop at: names of any bytes, huge keys, the largest letters, what unpacks to much."""

import gzip
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from ledger.adapters.kafka.records import read_all_records
from tests.end_to_end.books import Books, id_of, transfer

KEY = b"acme/poison"
NAME, STAND_IN = b"\xff\xfe", "zz"
MEBIBYTE = 1024**2
KEPT_BYTES = 16 * MEBIBYTE
BOMB_BYTES = 60_000_000


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    async with Books.open(kafka, postgres_dsn, "poison", tmp_path_factory.mktemp("poison")) as books:
        yield books


class Poisoner:
    """A client that writes batches of one record to partition 0, as no good client would."""

    def __init__(self, books: Books, producer: AIOKafkaProducer) -> None:
        self._topic = books.settings.payments_topic
        self._producer = producer

    async def write(
        self, value: bytes, key: bytes = KEY, headers: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        batch = self._producer.create_batch()
        batch.append(timestamp=None, key=key, value=value, headers=list(headers))
        batch.close()
        if headers:
            batch._buffer = renamed(bytes(batch._build()))
        await (await self._producer.send_batch(batch, self._topic, partition=0))


def renamed(raw: bytes) -> bytes:
    """The batch with a header's name that is not UTF-8, and the checksum that belongs to it."""
    changed = bytearray(raw.replace(b"\x04" + STAND_IN.encode(), b"\x04" + NAME))
    changed[17:21] = calc_crc32c(memoryview(changed)[21:]).to_bytes(4, "big")
    return bytes(changed)


async def poison(books: Books, compression: str | None, *records: dict[str, Any]) -> None:
    """Write records."""
    size = 2 * BOMB_BYTES
    producer = AIOKafkaProducer(
        bootstrap_servers=books.settings.kafka_bootstrap,
        compression_type=compression,
        max_batch_size=size,
        max_request_size=size,
    )
    await producer.start()
    try:
        poisoner = Poisoner(books, producer)
        for record in records:
            await poisoner.write(**record)
    finally:
        await producer.stop()


async def test_poison_does_not_stop_the_stream(books: Books) -> None:
    named, good = (transfer("external:a", code, 5) for code in ("poison:named", "poison:survivor"))
    headers = ((STAND_IN, b"v"),)
    largest = os.urandom(1_113_900)
    long_key = os.urandom(1_100_000)
    await poison(
        books,
        None,
        {"value": named, "headers": headers},
        {"value": b"no event", "headers": headers},
        {"value": transfer("external:a", "poison:keyed", 5), "key": long_key},
        {"value": largest},
    )
    await poison(books, "gzip", {"value": bytes(BOMB_BYTES)}, {"value": good, "key": KEY})

    async with books.worker() as worker:
        await books.until_handled(6)
        await books.until_answered({id_of(named), id_of(good)})
        letters = await published(books)
        assert worker.process.poll() is None

    balances = await books.balances()
    assert (balances["poison:named"], balances["poison:survivor"]) == (5, 5)
    assert "poison:keyed" not in balances
    await the_books_keep(books, long_key, largest)
    the_topic_tells(letters)
    assert await books.violations() == {}


async def published(books: Books) -> list[Any]:
    read_all_records()
    return await books.until_records(books.settings.dead_letters_topic, 4)


async def the_books_keep(books: Books, long_key: bytes, largest: bytes) -> None:
    named, keyed, large, bomb = await books.sql('select * from dead_letters order by "offset"')
    assert (named["value"], named["headers"]) == (b"no event", '[[{"base64":"//4="},"dg=="]]')
    assert (keyed["key"], keyed["reason"]) == (long_key, "too_large")
    assert (large["value"], large["reason"]) == (largest, "too_large")
    assert bomb["value"] == bytes(KEPT_BYTES)
    assert bomb["detail"].endswith(f"the first {KEPT_BYTES} of {BOMB_BYTES} bytes are kept")


def the_topic_tells(letters: list[Any]) -> None:
    named, keyed, large, bomb = sorted(letters, key=lambda each: int(dict(each.headers)["ledger-offset"]))
    assert (named.key, named.value) == (KEY, b"no event")
    assert named.headers[0] == (NAME.decode("utf-8", "surrogateescape"), b"v")
    assert (keyed.key, keyed.value) == (None, None)
    assert [(each.key, each.value) for each in (large, bomb)] == [(KEY, None), (KEY, None)]
    truncated = [dict(each.headers).get("ledger-truncated") for each in (named, keyed, large, bomb)]
    assert truncated == [None, b"true", b"true", b"true"]


async def test_a_fetch_that_unpacks_to_much_is_handled_in_pieces(books: Books) -> None:
    before = await books.handled()
    assert len(gzip.compress(bytes(MEBIBYTE))) < MEBIBYTE // 500
    await poison(books, "gzip", *({"value": bytes(20 * MEBIBYTE)} for _ in range(3)))

    async with books.worker(LEDGER_LOG_LEVEL="debug") as worker:
        await books.until_handled(before + 3)
        assert worker.log.count('"chunk.joined"') >= 2
