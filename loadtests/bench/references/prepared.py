"""Rows of transfers as PostgreSQL's binary COPY takes them, encoded before anything is measured."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import chain, zip_longest
from struct import Struct, pack
from typing import NamedTuple
from uuid import UUID

import orjson

from loadtests.workloads import ASSET, Record

TYPE, KIND = b"transfer.post.v1", b"posted"

CLAIM_COLUMNS = (
    "event_id",
    "tenant_id",
    "fingerprint",
    "type",
    "kind",
    "posted_at",
    "topic",
    "partition",
    "offset",
)
TRANSACTION_COLUMNS = ("event_id", "tenant_id", "type", "posted_at", "effective_at")
ENTRY_COLUMNS = (
    *("tenant_id", "balance_id", "version", "event_id", "line", "asset"),
    *("amount", "posted_debits", "posted_credits", "posted_at"),
)

_FIRST = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_LAST = b"\xff\xff"
_ASSET = ASSET.encode()
_DIGEST_BYTES = 16
_CLAIM_BEGINS = Struct(">hi16sii")
_TRANSACTION_BEGINS = Struct(">hi16sii")
_ENTRY_BEGINS = Struct(">hiiiqiqi16sih")
_ENTRY_TOTALS = Struct(">iqiqiq")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Row:
    """The row of one balance as it will be; minor units."""

    balance_id: int
    debits: int = 0
    credits: int = 0
    version: int = 0


class Place(NamedTuple):
    """What all rows of a run have in common."""

    tenant_id: int
    topic: str


class Numbered(NamedTuple):
    """A record and where it would be in its topic."""

    partition: int
    offset: int
    value: bytes


@dataclass(slots=True)
class Batch:
    """What one database transaction writes; `balances` are balance ids, debits, credits and versions."""

    posted_at: datetime
    events: int
    claims: bytearray
    transactions: bytearray
    entries: bytearray
    balances: list[str]


def chunked(
    records: Iterable[Record], choose: Callable[[bytes | None], int], size: int
) -> Iterator[list[Numbered]]:
    """Part records as a worker takes them: so many of one partition, the partitions by turns."""
    lanes: dict[int, list[Numbered]] = defaultdict(list)
    for key, value in records:
        partition = choose(key)
        lanes[partition].append(Numbered(partition, len(lanes[partition]), value))
    parts = ([lane[at : at + size] for at in range(0, len(lane), size)] for lane in lanes.values())
    return (chunk for chunk in chain.from_iterable(zip_longest(*parts)) if chunk)


class Preparer:
    """Works out the rows of batches, one after the other; `rows` has the balance of each account."""

    def __init__(self, place: Place, rows: dict[str, Row]) -> None:
        self._tenant = place.tenant_id
        self._rows = rows
        self._claimed = _texts(TYPE, KIND)
        self._topic = _texts(place.topic.encode())

    def batch(self, chunk: list[Numbered], posted_at: datetime) -> Batch:
        """Encode a chunk."""
        making = _Making(posted_at)
        for numbered in chunk:
            self._add(making, numbered)
        return making.batch(len(chunk))

    def _add(self, making: "_Making", numbered: Numbered) -> None:
        event = orjson.loads(numbered.value)
        if event["type"].encode() != TYPE:
            raise ValueError(f"only transfers are written here, not {event['type']}")
        data, event_id = event["data"], UUID(event["id"]).bytes
        making.claims += self._claim(event_id, making.time, numbered)
        making.transactions += self._transaction(event_id, making.time)
        for line, (account, amount) in enumerate(
            ((data["debit"], -data["amount"]), (data["credit"], data["amount"]))
        ):
            row = self._rows[account]
            _move(row, amount)
            making.moved[row.balance_id] = row
            making.entries += self._entry(row, event_id, line, amount)
            making.entries += making.time

    def _claim(self, event_id: bytes, time: bytes, numbered: Numbered) -> bytes:
        digest = blake2b(numbered.value, digest_size=_DIGEST_BYTES).digest()
        begins = _CLAIM_BEGINS.pack(len(CLAIM_COLUMNS), len(event_id), event_id, 4, self._tenant)
        where = pack(">iiiq", 4, numbered.partition, 8, numbered.offset)
        return b"".join((begins, _texts(digest), self._claimed, time, self._topic, where))

    def _transaction(self, event_id: bytes, time: bytes) -> bytes:
        begins = _TRANSACTION_BEGINS.pack(len(TRANSACTION_COLUMNS), len(event_id), event_id, 4, self._tenant)
        return b"".join((begins, _texts(TYPE), time, time))

    def _entry(self, row: Row, event_id: bytes, line: int, amount: int) -> bytes:
        key = (4, self._tenant, 8, row.balance_id, 8, row.version)
        begins = _ENTRY_BEGINS.pack(len(ENTRY_COLUMNS), *key, len(event_id), event_id, 2, line)
        return begins + _texts(_ASSET) + _ENTRY_TOTALS.pack(8, amount, 8, row.debits, 8, row.credits)


@dataclass(slots=True)
class _Making:
    posted_at: datetime
    moved: dict[int, Row] = field(default_factory=dict)
    claims: bytearray = field(default_factory=lambda: bytearray(_FIRST))
    transactions: bytearray = field(default_factory=lambda: bytearray(_FIRST))
    entries: bytearray = field(default_factory=lambda: bytearray(_FIRST))
    time: bytes = b""

    def __post_init__(self) -> None:
        self.time = pack(">iq", 8, (self.posted_at - _EPOCH) // _MICROSECOND)

    def batch(self, events: int) -> Batch:
        moved = [self.moved[each] for each in sorted(self.moved)]
        columns = zip(*((row.balance_id, row.debits, row.credits, row.version) for row in moved), strict=True)
        for rows in (self.claims, self.transactions, self.entries):
            rows += _LAST
        balances = [f"{{{','.join(map(str, column))}}}" for column in columns]
        return Batch(self.posted_at, events, self.claims, self.transactions, self.entries, balances)


def _move(row: Row, amount: int) -> None:
    row.version += 1
    if amount < 0:
        row.debits -= amount
    else:
        row.credits += amount


def _texts(*values: bytes) -> bytes:
    return b"".join(pack(">i", len(value)) + value for value in values)
