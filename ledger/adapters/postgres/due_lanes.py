"""Lanes in which payments are due: found by following what becomes due, and known until nothing more is taken."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ledger.application.payment_ports import LaneName, LaneRoom, Room

ROWS = 2000
"""So many payments are looked at in one statement."""
PAGES = 5
"""So many such statements there are at most, in one look for what is new and in one for what is old."""
MARGIN = timedelta(seconds=2)
"""Stored so late, what became due is still found at once; later, when all that is due is gone through."""
SWEEP = timedelta(seconds=5)
"""So often all that is due is gone through."""

Fetch = Callable[..., Awaitable[list[Any]]]


class Place(NamedTuple):
    """A place among what is due, in the order of its index."""

    due_at: datetime
    tenant_id: int
    lane: str


def _begin(at: datetime) -> Place:
    return Place(at, 0, "")


_FIRST = _begin(datetime(1970, 1, 1, tzinfo=UTC))


class DueLanes:
    """What is not due costs nothing, however many lanes it is in."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: dict[LaneName, None] = {}
        self._tail: Place | None = None
        self._sweep = _FIRST
        self._swept_at: datetime | None = None

    async def look(self, now: datetime) -> None:
        """Find lanes in which something has become due; raises TransientFaultError."""
        newest = _begin(now - MARGIN)
        left = await self._read(min(self._tail or newest, newest), now)
        self._tail = left or newest
        if self._sweep != _FIRST or self._swept_at is None or abs(now - self._swept_at) >= SWEEP:
            self._swept_at = now
            self._sweep = await self._read(self._sweep, now) or _FIRST

    def open(self, room: Room) -> Mapping[LaneName, LaneRoom]:
        """Give the lanes that are known and have room."""
        usual = {True: LaneRoom(room.a_lane), False: LaneRoom(room.in_all)}
        rooms = {lane: room.lanes.get(lane, usual[bool(lane[1])]) for lane in self._known}
        return {lane: its for lane, its in rooms.items() if its.payments > 0}

    def taken(self, opened: Mapping[LaneName, LaneRoom], in_all: int, lanes: Iterable[LaneName]) -> None:
        """Forget lanes of which less was taken than might have been; `lanes`: of each payment that was taken."""
        counts = Counter(lanes)
        if counts.total() >= in_all:
            return  # not every lane had its turn
        for lane, room in opened.items():
            if counts[lane] < room.payments and not room.only_new:
                self._known.pop(lane, None)

    async def _read(self, place: Place, now: datetime) -> Place | None:
        """Note the lanes of what is due after a place; gives where to go on, None at the end."""
        for _ in range(PAGES):
            rows = await self._fetch("find_due_lanes", *place, now, ROWS)
            self._known |= {(row["tenant"], row["lane"]): None for row in rows}
            if sum(row["payments"] for row in rows) < ROWS:
                return None
            place = max(Place(row["last"], row["tenant_id"], row["lane"]) for row in rows)
        return place
