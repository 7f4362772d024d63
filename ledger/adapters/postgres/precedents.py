"""What the books in PostgreSQL know of events that were decided before."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier
from ledger.domain.rejection import Reason


class PostgresPrecedents:
    """Precedents over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        if not events:
            return {}
        keys = [event.tenant for event in events], [event.id for event in events]
        with transient_faults():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(sql("find_precedents"), *keys)
        return {events[ordinal - 1].identity: earlier for ordinal, earlier in _found(rows)}


def _found(rows: Iterable[Any]) -> Iterator[tuple[int, Earlier]]:
    before: datetime | None = None
    for ordinal, fingerprint, kind, reason, detail, at, topic, partition, offset in rows:
        # Events of one batch have one time, and comparing or hashing is dear where it is not one object.
        before = before if before == at else at
        why = Reason(reason) if reason else None
        yield ordinal, Earlier(fingerprint, kind, before or at, topic, partition, offset, None, why, detail)
