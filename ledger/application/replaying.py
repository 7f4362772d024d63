"""Ports of replays: what was decided before, and the record of who replayed what and how far it came."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier

Target = Literal["live", "into"]


class Reached(msgspec.Struct, frozen=True):
    """How far a partition was replayed: all before offset `next`, in the order of time up to `at`."""

    next: int
    at: datetime


class Replay(msgspec.Struct, frozen=True):
    """One replay, as it is written down."""

    id: str
    target: Target
    source: Mapping[str, Any]
    """What is replayed: the whole of the question, so that it can be gone on with."""
    by: str
    why: str
    started_at: datetime
    state: Mapping[int, Reached] = {}
    counts: Mapping[str, int] = {}
    ended_at: datetime | None = None


class Precedents(Protocol):
    """What became of events the first time."""

    async def of(self, events: Sequence[Event]) -> Mapping[EventKey, Earlier]:
        """Give what is known of the ids of `events`, whatever their content; may raise TransientFaultError."""
        ...


class ReplayRecords(Protocol):
    """Replays, where they are written down. Every method may raise TransientFaultError."""

    async def begin(self, replay: Replay) -> None:
        """Write down a replay before it does anything."""
        ...

    async def save(
        self,
        replay_id: str,
        state: Mapping[int, Reached],
        counts: Mapping[str, int],
        at: datetime,
        *,
        ended: bool = False,
    ) -> bool:
        """Write down how far it came; False: it has ended already, and nothing was written."""
        ...

    async def end(self, replay_ids: Sequence[str], at: datetime) -> None:
        """Say of replays that they have ended, or that others did what they left."""
        ...

    async def unfinished(self, target: Target) -> Sequence[Replay]:
        """Find the replays that have not ended, the newest first."""
        ...

    async def newest(self, target: Target) -> Replay | None:
        """Find the replay that was begun last."""
        ...
