"""Replays written down in PostgreSQL, in the books that they post to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Connection, Pool
from ledger.application.faults import PositionGapError
from ledger.application.ports import Position
from ledger.application.replaying import NoLongerAloneError, Reached, Replay, Target


class PostgresReplays:
    """ReplayRecords over a pool of the books' owner."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(self, replay: Replay) -> Replay:
        [row] = await self._fetch(
            "begin_replay",
            replay.id,
            replay.target,
            _json(replay.source),
            replay.by,
            replay.why,
            _json(replay.state),
            _json(replay.counts),
        )
        return msgspec.structs.replace(replay, started_at=row["started_at"])

    async def ensure_alone(self, run: int) -> None:
        with transient_faults():
            async with self._pool.acquire() as connection:
                await _ensure_alone(connection, run)

    async def save(
        self,
        replay_id: str,
        run: int,
        state: Mapping[int, Reached],
        counts: Mapping[str, int],
        at: datetime,
        *,
        moved: Sequence[Position] = (),
        ended: bool = False,
    ) -> bool:
        with transient_faults():
            async with self._pool.acquire() as connection, connection.transaction():
                await _ensure_alone(connection, run)
                for position in moved:
                    await _move(connection, position)
                how_far = _json(state), _json(counts)
                return bool(await connection.fetch(sql("save_replay"), replay_id, *how_far, at, ended))

    async def end(self, replay_ids: Sequence[str], at: datetime) -> None:
        await self._fetch("end_replays", replay_ids, at)

    async def unfinished(self, target: Target) -> Sequence[Replay]:
        return [_replay(row) for row in await self._fetch("unfinished_replays", target)]

    async def newest(self, target: Target) -> Replay | None:
        rows = await self._fetch("newest_replay", target)
        return _replay(rows[0]) if rows else None

    async def _fetch(self, statement: str, *arguments: Any) -> Any:
        with transient_faults():
            async with self._pool.acquire() as connection:
                return await connection.fetch(sql(statement), *arguments)


async def _ensure_alone(connection: Connection, run: int) -> None:
    if not await connection.fetchval(sql("run_stands_alone"), run):
        raise NoLongerAloneError


async def _move(connection: Connection, position: Position) -> None:
    at = (position.topic, position.partition)
    if await connection.fetchval(sql("advance_offset"), *at, position.first, position.next) is None:
        raise PositionGapError(*at, await connection.fetchval(sql("find_offset"), *at) or 0, position.first)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _replay(row: Any) -> Replay:
    return Replay(
        row["replay_id"],
        row["target"],
        msgspec.json.decode(row["source"]),
        row["done_by"],
        row["why"],
        row["started_at"],
        msgspec.json.decode(row["state"], type=dict[int, Reached]),
        msgspec.json.decode(row["counts"], type=dict[str, int]),
        row["ended_at"],
    )
