"""The rows of transfers: their values, worked out before anything is measured, and as binary COPY takes them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import chain, zip_longest
from struct import Struct
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


class Moved(NamedTuple):
    """One entry, and its balance after it; minor units."""

    balance_id: int
    version: int
    amount: int
    debits: int
    credits: int


class Posted(NamedTuple):
    """One transfer."""

    event_id: bytes
    digest: bytes
    partition: int
    offset: int
    entries: tuple[Moved, Moved]


class Values(NamedTuple):
    """What one database transaction writes; of the balances their ids, debits, credits and versions in columns."""

    posted_at: datetime
    posted: list[Posted]
    balances: list[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Batch:
    """The same as it goes to PostgreSQL."""

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
    """Works out the values of batches, one after the other; `rows` has the balance of each account."""

    def __init__(self, rows: dict[str, Row]) -> None:
        self._rows = rows

    def values(self, chunk: list[Numbered], posted_at: datetime) -> Values:
        """Work out a chunk."""
        moved: dict[int, Row] = {}
        posted = [self._posted(numbered, moved) for numbered in chunk]
        rows = [moved[each] for each in sorted(moved)]
        columns = zip(*((row.balance_id, row.debits, row.credits, row.version) for row in rows), strict=True)
        return Values(posted_at, posted, list(columns))

    def _posted(self, numbered: Numbered, moved: dict[int, Row]) -> Posted:
        event = orjson.loads(numbered.value)
        if event["type"].encode() != TYPE:
            raise ValueError(f"only transfers are written here, not {event['type']}")
        data = event["data"]
        digest = blake2b(numbered.value, digest_size=_DIGEST_BYTES).digest()
        debit = self._moved(data["debit"], -data["amount"], moved)
        credit = self._moved(data["credit"], data["amount"], moved)
        event_id = UUID(event["id"]).bytes
        return Posted(event_id, digest, numbered.partition, numbered.offset, (debit, credit))

    def _moved(self, account: str, amount: int, moved: dict[int, Row]) -> Moved:
        row = self._rows[account]
        row.version += 1
        if amount < 0:
            row.debits -= amount
        else:
            row.credits += amount
        moved[row.balance_id] = row
        return Moved(row.balance_id, row.version, amount, row.debits, row.credits)


class Packer:
    """Packs values as binary COPY takes them, each row in one go."""

    def __init__(self, place: Place) -> None:
        self._tenant = place.tenant_id
        self._topic = place.topic.encode()

    def batch(self, values: Values) -> Batch:
        """Pack a batch."""
        time = (values.posted_at - _EPOCH) // _MICROSECOND
        return Batch(
            values.posted_at,
            len(values.posted),
            _whole(self._claims(values.posted)),
            _whole(self._transactions(values.posted, time)),
            _whole(self._entries(values.posted, time)),
            [f"{{{','.join(map(str, column))}}}" for column in values.balances],
        )

    def _claims(self, posted: list[Posted]) -> list[bytes]:
        row = Struct(f">hi16sii i{_DIGEST_BYTES}s i{len(TYPE)}s i{len(KIND)}s i{len(self._topic)}s ii iq")
        begins, tenant = (len(CLAIM_COLUMNS), 16), (4, self._tenant, _DIGEST_BYTES)
        same = (len(TYPE), TYPE, len(KIND), KIND, len(self._topic), self._topic)
        return [
            row.pack(*begins, each.event_id, *tenant, each.digest, *same, 4, each.partition, 8, each.offset)
            for each in posted
        ]

    def _transactions(self, posted: list[Posted], time: int) -> list[bytes]:
        row = Struct(f">hi16s ii i{len(TYPE)}s iqiq")
        begins = (len(TRANSACTION_COLUMNS), 16)
        ends = (4, self._tenant, len(TYPE), TYPE, 8, time, 8, time)
        return [row.pack(*begins, each.event_id, *ends) for each in posted]

    def _entries(self, posted: list[Posted], time: int) -> list[bytes]:
        row = Struct(f">hiiiqiq i16s ih i{len(_ASSET)}s iqiqiq iq")
        begins, asset = (len(ENTRY_COLUMNS), 4, self._tenant, 8), (len(_ASSET), _ASSET, 8)
        return [
            row.pack(
                *(*begins, each.balance_id, 8, each.version, 16, event_id, 2, line),
                *(*asset, each.amount, 8, each.debits, 8, each.credits, 8, time),
            )
            for event_id, _, _, _, entries in posted
            for line, each in enumerate(entries)
        ]


def _whole(rows: list[bytes]) -> bytearray:
    return bytearray(b"".join((_FIRST, *rows, _LAST)))
