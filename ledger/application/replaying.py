"""Ports of replays: what was decided before, and the record of who replayed what and how far it came."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from ledger.application.ports import Position
from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier

Target = Literal["live", "into"]


class NoLongerAloneError(Exception):
    """The books know nothing of a run any more: they failed over, or its session ended."""

    def __init__(self) -> None:
        super().__init__(
            "The books know nothing of this run any more: they failed over to another server, or its session was "
            "ended. What they may have lost is not passed by, as nothing was written down since. --resume goes on "
            "from there; replay dead letters again."
        )


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

    async def begin(self, replay: Replay) -> Replay:
        """Write down a replay before it does anything; give it as begun by the clock of the books, whatever it says."""
        ...

    async def ensure_alone(self, run: int) -> None:
        """Raise NoLongerAloneError where the session of a run is not, or no more, one of these books' server."""
        ...

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
        """Move the books' own positions and write down how far it came, both or nothing; False: it has ended already.

        Raises NoLongerAloneError, as what the run committed before may be lost then, and PositionGapError.
        """
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
