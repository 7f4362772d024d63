"""Replays written down in PostgreSQL, in the books that they post to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ledger.adapters.postgres.connection import transient_faults
from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.types import Pool
from ledger.application.replaying import Reached, Replay, Target


class PostgresReplays:
    """ReplayRecords over a pool of the books' owner."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(self, replay: Replay) -> None:
        await self._fetch(
            "begin_replay",
            replay.id,
            replay.target,
            _json(replay.source),
            replay.by,
            replay.why,
            replay.started_at,
            _json(replay.state),
            _json(replay.counts),
        )

    async def save(
        self,
        replay_id: str,
        state: Mapping[int, Reached],
        counts: Mapping[str, int],
        at: datetime,
        *,
        ended: bool = False,
    ) -> bool:
        return bool(await self._fetch("save_replay", replay_id, _json(state), _json(counts), at, ended))

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
