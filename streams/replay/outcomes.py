"""Outcomes as their topic has them, in a file on disk: what was decided, where the books have lost it."""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from datetime import datetime
from typing import Any

import msgspec

from ledger.application.record_source import RecordSource
from ledger.contract.dead_letter import Record
from ledger.contract.outgoing import FINGERPRINT
from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.moments import microseconds, moment_of
from ledger.domain.outcome import Earlier, OutcomeKind
from ledger.domain.rejection import Reason

_TABLE = """
    create table outcomes (
        tenant text, id text, fingerprint blob, kind text, posted_at_us integer, reason text, detail text,
        partition integer,
        primary key (tenant, id)
    ) without rowid
"""
# What came of an event itself goes before what was said to those that repeated it. Of decisions the last one stands:
# the ones before it were lost with the books that made them. But `event_too_old` is also what an event is told that
# comes again after books have forgotten its id: it says nothing against what they decided.
_PUT = """
    insert into outcomes values (?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (tenant, id) do update
    set fingerprint = excluded.fingerprint, kind = excluded.kind, posted_at_us = excluded.posted_at_us,
        reason = excluded.reason, detail = excluded.detail, partition = excluded.partition
    where excluded.kind <> 'duplicate' and (
        outcomes.kind = 'duplicate'
        or excluded.reason is not 'event_too_old' and (
            excluded.partition = outcomes.partition or excluded.posted_at_us >= outcomes.posted_at_us
        )
    )
"""
_GET = """
    select fingerprint, kind, posted_at_us, reason, detail from outcomes where tenant = ? and id = ?
"""


class _Data(msgspec.Struct):
    event_id: str
    posted_at: datetime
    reason: str | None = None
    detail: str | None = None


class _Body(msgspec.Struct):
    type: str
    tenant: str
    data: _Data


_bodies = msgspec.json.Decoder(_Body)
_KINDS: dict[str, OutcomeKind] = {
    "event.posted.v1": "posted",
    "event.rejected.v1": "rejected",
    "event.duplicate.v1": "duplicate",
}


class NotAnOutcomeError(Exception):
    """A record of the topic of outcomes is none."""


class OutcomeIndex:
    """Precedents in a file of SQLite."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        file.execute("pragma temp_store = file")
        file.execute("pragma synchronous = off")
        file.execute("pragma journal_mode = off")
        file.execute(_TABLE)

    @classmethod
    @asynccontextmanager
    async def read(cls, records: RecordSource, since: datetime | None) -> AsyncIterator["OutcomeIndex"]:
        """Read the topic of outcomes, or its archive, from a time on up to its end as it is now.

        Raises NotAnOutcomeError, and what reading raises.
        """
        # Without a name it is a file that SQLite unlinks once it is open: no kill leaves it behind.
        with closing(sqlite3.connect("")) as file:
            index = cls(file)
            await index._read(records, since)
            yield index

    async def _read(self, source: RecordSource, since: datetime | None) -> None:
        bounds = await source.bounds()
        firsts = {} if since is None else await source.offsets_at(microseconds(since) // 1000)
        for partition, (low, end) in bounds.items():
            async for records in source.read(partition, max(low, firsts.get(partition, low)), end):
                self.put(records)

    def put(self, records: Sequence[Record]) -> None:
        """Take in records of the topic; raises NotAnOutcomeError."""
        self._file.executemany(_PUT, _rows(records))
        self._file.commit()

    async def of(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        """Give what is known of the ids of `events`."""
        found: dict[EventKey, Earlier] = {}
        for event in events:
            row = self._file.execute(_GET, event.identity).fetchone()
            if row is not None:
                found[event.identity] = _earlier(row)
        return found


def _rows(records: Sequence[Record]) -> Iterator[tuple[Any, ...]]:
    for record in records:
        try:
            body = _bodies.decode(record.value or b"")
            kind = _KINDS[body.type]
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
            where = f"{record.topic}/{record.partition}/{record.offset}"
            raise NotAnOutcomeError(f"{where} is no outcome: {error}") from error
        data = body.data
        fingerprint = dict(record.headers).get(FINGERPRINT)
        if data.reason == Reason.EVENT_ID_REUSED or not fingerprint:
            continue  # said of another event with that id, or of nobody knows which
        at = microseconds(data.posted_at)
        yield body.tenant, data.event_id, fingerprint, kind, at, data.reason, data.detail, record.partition


def _earlier(row: Any) -> Earlier:
    fingerprint, kind, posted_at_us, reason, detail = row
    return Earlier(
        fingerprint,
        kind,
        moment_of(posted_at_us),
        reason=Reason(reason) if reason else None,
        detail=detail,
    )
