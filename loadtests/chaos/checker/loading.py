"""What Kafka holds, as temporary tables beside the books: the two are compared by SQL, however many rows."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from loadtests.chaos.checker.ahead import ahead
from loadtests.chaos.checker.events import Event, read_record
from loadtests.chaos.checker.sent import digest_of, read_sent

TABLES = """
create temp table logged (
    "partition" int, "offset" bigint, key bytea, digest bytea not null, at_ms bigint,
    letter text, tenant text, event_id uuid, type text, source text, content bytea, value text,
    primary key ("partition", "offset")
);
create temp table told (
    "partition" int, "offset" bigint, tenant text, event_id uuid, kind text, event_type text, reason text,
    transaction uuid, posted_at timestamptz, fingerprint bytea, body text, entries text
);
create temp table told_entries (
    tenant text, account text, asset text, transaction uuid, line int, amount bigint, version bigint,
    balance bigint, posted_debits bigint, posted_credits bigint, posted_at timestamptz
);
create temp table told_letters ("partition" int, "offset" bigint, reason text);
create temp table sent ("partition" int, "offset" bigint, digest bytea, acked boolean);
create temp table spans ("partition" int primary key, first bigint, next bigint);
"""
INDEXES = """
create index on logged (event_id);
create index on told (event_id);
create index on told_entries (transaction);
analyze logged; analyze told; analyze told_entries; analyze told_letters; analyze sent; analyze spans;
"""
STATISTICS = """
analyze tenants, accounts, balances, entries, transactions, reversals, holds, payments, processed_events, dead_letters
"""
"""Small tables never get any by themselves: then every balance is compared with every event."""
KINDS = {"event.posted.v1": "posted", "event.rejected.v1": "rejected", "event.duplicate.v1": "duplicate"}
AT_ONCE = 10_000


class NotOursError(ValueError):
    """A record of a topic of the ledger is not what its contract says."""


Batches = AsyncIterator[Sequence[Any]]


async def load_payments(connection: Any, batches: Batches) -> int:
    """Load the records of the topic of payments; gives how many."""
    return await _load(connection, "logged", batches, logged_row)


async def load_outcomes(connection: Any, batches: Batches) -> int:
    """Load what was said of events."""
    return await _load(connection, "told", batches, told_row)


async def load_entries(connection: Any, batches: Batches) -> int:
    """Load the entries that were published."""
    return await _load(connection, "told_entries", batches, entry_row)


async def load_letters(connection: Any, batches: Batches) -> int:
    """Load the dead letters that were published."""
    return await _load(connection, "told_letters", batches, letter_row)


async def load_sent(connection: Any, files: Iterable[Path], topic: str) -> int:
    """Load what was sent to a topic; gives how many records were acknowledged."""
    acked = 0
    for path in files:
        rows = (each for each in read_sent(path) if each.topic in (None, topic))
        while some := list(islice(rows, AT_ONCE)):
            acked += sum(each.acked for each in some)
            await connection.copy_records_to_table("sent", records=[tuple(each[1:]) for each in some])
    return acked


async def _load(connection: Any, table: str, batches: Batches, row_of: Any) -> int:
    count = 0
    async for rows in ahead(_rows(batches, row_of)):
        await connection.copy_records_to_table(table, records=rows)
        count += len(rows)
    return count


async def _rows(batches: Batches, row_of: Any) -> AsyncIterator[list[Any]]:
    async for records in batches:
        yield [row_of(record) for record in records]


def logged_row(record: Any) -> tuple[Any, ...]:
    """Read a record of the topic of payments on our own."""
    place = (record.partition, record.offset, record.key, digest_of(record.value), record.timestamp)
    found = read_record(record.value, record.key, record.headers)
    if not isinstance(found, Event):
        return (*place, found.reason, None, None, None, None, None, None)
    source = found.source.replace("\x00", "")
    text = record.value.decode()
    return (*place, None, found.tenant, found.id, found.type, source, found.content, text)


def told_row(record: Any) -> tuple[Any, ...]:
    """Read an outcome; a hold is shown as it stands when it is told, so it is no part of the body that is kept."""
    outcome = orjson.loads(record.value)
    kind, data = KINDS.get(outcome["type"]), outcome["data"]
    if kind is None or data["event_id"] != outcome["id"]:
        raise NotOursError(f"no outcome: partition {record.partition}, offset {record.offset}")
    body = orjson.dumps({name: value for name, value in data.items() if name not in ("hold", "payment")})
    fingerprint = dict(record.headers).get("ledger-fingerprint")
    return (
        record.partition,
        record.offset,
        outcome["tenant"],
        outcome["id"],
        kind,
        data["event_type"],
        data.get("reason"),
        data.get("transaction"),
        datetime.fromisoformat(data["posted_at"]),
        fingerprint,
        digest_of(body).hex(),
        "\n".join(_line(entry) for entry in data.get("entries", ())),
    )


def _line(entry: dict[str, Any]) -> str:
    names = ("account", "asset", "amount", "version", "balance", "posted_debits", "posted_credits")
    return " ".join(str(entry[name]) for name in names)


def entry_row(record: Any) -> tuple[Any, ...]:
    """Read a published entry."""
    entry = orjson.loads(record.value)
    data = entry["data"]
    transaction, _, line = entry["id"].rpartition("/")
    if entry["type"] != "entry.posted.v1" or transaction != data["transaction"]:
        raise NotOursError(f"no entry: partition {record.partition}, offset {record.offset}")
    names = ("amount", "version", "balance", "posted_debits", "posted_credits")
    return (
        entry["tenant"],
        data["account"],
        data["asset"],
        transaction,
        int(line),
        *(data[name] for name in names),
        datetime.fromisoformat(data["posted_at"]),
    )


def letter_row(record: Any) -> tuple[Any, ...]:
    """Read from the headers of a dead letter where it came from, and why; ours stand behind the record's own."""
    ours = dict(record.headers)
    return int(ours["ledger-partition"]), int(ours["ledger-offset"]), ours["ledger-reason"].decode()
