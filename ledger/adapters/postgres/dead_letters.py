"""Dead letters, and what was done about them, in PostgreSQL."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from ledger.adapters.postgres.connection import end, transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.application.dead_letters import (
    Action,
    Deed,
    EnsureHeld,
    LetterQuery,
    LetterSummary,
    Place,
    StoredLetter,
    origin_of,
)
from ledger.contract.dead_letter import ORIGIN, DeadLetter, DeadLetterReason, Record


class PostgresDeadLetters:
    """DeadLetters over a pool; `held` keeps one connection of it."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def find(
        self, query: LetterQuery, limit: int, after: Place | None = None
    ) -> Sequence[LetterSummary]:
        narrowed = (query.reason, query.since, query.until, query.topic, query.partition, query.handled_too)
        begin = after or (None, None, None)
        return [_summary(row) for row in await self._fetch("find_dead_letters", *narrowed, *begin, limit)]

    async def read(self, places: Sequence[Place]) -> Sequence[StoredLetter]:
        rows = await self._fetch("read_dead_letters", *_columns(places))
        return [StoredLetter(_letter(row), _action(row)) for row in rows]

    async def summaries(self, places: Sequence[Place]) -> Sequence[LetterSummary]:
        return [_summary(row) for row in await self._fetch("summarise_dead_letters", *_columns(places))]

    async def came_back_of(self, place: Place, limit: int) -> Sequence[LetterSummary]:
        name = base64.b64encode(str(place).encode()).decode()
        return [_summary(row) for row in await self._fetch("find_came_back_letters", *place, name, limit)]

    async def record(self, places: Sequence[Place], action: Action) -> None:
        deed = (action.deed, action.by, action.at, action.why, action.edited_value)
        await self._fetch("insert_dead_letter_actions", *_columns(places), *deed)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[EnsureHeld]:
        with transient_faults():
            connection = await self.pool.acquire()
        try:
            with transient_faults():
                await connection.execute(sql("hold_dead_letters"))

            async def ensure_held() -> None:
                # The lock lasts as long as its session does, and that answers only on this connection.
                with transient_faults():
                    await connection.execute("select 1")

            yield ensure_held
        finally:
            end(connection)  # with it goes the lock
            await self.pool.release(connection)

    async def _fetch(self, statement: str, *arguments: Any) -> Sequence[Any]:
        with transient_faults():
            async with self.pool.acquire() as connection:
                return await connection.fetch(sql(statement), *arguments)


def _columns(places: Sequence[Place]) -> tuple[list[str], list[int], list[int]]:
    return (
        [place.topic for place in places],
        [place.partition for place in places],
        [place.offset for place in places],
    )


def _summary(row: Any) -> LetterSummary:
    place = Place(row["topic"], row["partition"], row["offset"])
    reason = DeadLetterReason(row["reason"])
    origin = None if row["origin"] is None else origin_of([(ORIGIN, base64.b64decode(row["origin"]))])
    return LetterSummary(place, reason, row["detail"], row["at"], row["bytes"], _action(row), origin)


def _letter(row: Any) -> DeadLetter:
    record = Record(
        row["topic"],
        row["partition"],
        row["offset"],
        row["key"],
        row["value"],
        headers_of(row["headers"]),
        row["timestamp_ms"],
    )
    return DeadLetter(record, DeadLetterReason(row["reason"]), row["detail"], row["at"])


def headers_of(text: str) -> tuple[tuple[str, bytes | None], ...]:
    """Read what `headers_json` wrote: [[name, base64 of the bytes or null], …]."""
    return tuple(
        (_name(name), None if value is None else base64.b64decode(value))
        for name, value in orjson.loads(text)
    )


def _name(name: str | dict[str, str]) -> str:
    if isinstance(name, str):
        return name
    return base64.b64decode(name["base64"]).decode("utf-8", "surrogateescape")


def _action(row: Any) -> Action | None:
    if row["action"] is None:
        return None
    return Action(Deed(row["action"]), row["done_by"], row["done_at"], row["why"], row["edited_value"])
