"""How many payments of each provider may be taken now, from how it stands with the provider and what is in hand."""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol

from ledger.application.payment_ports import LaneName, LaneRoom, Room
from ledger.application.provider_lanes import Place, ProviderLanes
from ledger.application.providers import PaymentProvider


class Mood(StrEnum):
    """How it stands with a provider."""

    UP = "up"
    TRIES = "tries"
    """It was away, and one payment at a time tries whether it has recovered."""
    WAITS = "waits"
    """Its breaker is open, and its tenant has payments wait; or it is not there, or cannot be called as it is set."""
    DECLINES = "declines"
    """Its breaker is open, and its tenant has payments declined that it was not asked about."""


class Providers(Protocol):
    """The providers of all tenants."""

    async def find(self, tenant: str, name: str) -> PaymentProvider | None:
        """Give a provider, opened; None where the tenant has none of that name, or not one that can be called."""
        ...

    def mood(self, tenant: str, name: str) -> Mood:
        """Say how it stands with it; one that was not opened yet is up."""
        ...

    def slots(self) -> Mapping[LaneName, int]:
        """Give those that were looked for, each with how many calls at a time it takes; none, if it is missing."""
        ...


class LaneRooms:
    """The room of each lane, and which lanes have more that is due than they had room for."""

    def __init__(self, lanes: ProviderLanes, providers: Providers, calls_max: int) -> None:
        """`calls_max`: calls at a time to a provider that does not say how many it takes."""
        self._lanes = lanes
        self._providers = providers
        self._calls_max = calls_max
        self._wanting: set[LaneName] = set()

    def room(self, in_all: int) -> Room:
        """Say how many may be taken, and no more than `in_all`."""
        slots = self._providers.slots()
        names = {*slots, *self._lanes.busy_lanes()}
        rooms = {name: self._room(name, slots, in_all) for name in names}
        usual = LaneRoom(self._calls_max)
        return Room(in_all, self._calls_max, {name: room for name, room in rooms.items() if room != usual})

    def taken(self, room: Room, lanes: Iterable[LaneName]) -> None:
        """Note of which lanes payments were taken: where there was no room for more, more may be due."""
        counts = Counter(lanes)
        for lane, payments in counts.items():
            if payments >= _of(room, lane):
                self._wanting.add(lane)
        if counts.total() < room.in_all:
            self._wanting -= {lane for lane in self._wanting if counts[lane] < _of(room, lane)}

    def wants(self, name: LaneName) -> bool:
        """Tell whether more may be due in a lane than there was room for."""
        return name in self._wanting

    def place(self, name: LaneName) -> Place | None:
        """Take a place for a call; None where its provider is busy or away."""
        mood = self._providers.mood(*name)
        if mood is Mood.TRIES:
            return self._lanes.take(name, 1)
        slots = self._providers.slots().get(name, self._calls_max)
        return self._lanes.take(name, slots) if mood is Mood.UP else None

    def _room(self, name: LaneName, slots: Mapping[LaneName, int], in_all: int) -> LaneRoom:
        taken = self._lanes.taken(name)
        match self._providers.mood(*name):
            case Mood.UP:
                return LaneRoom(max(0, slots.get(name, self._calls_max) - taken))
            case Mood.TRIES:
                return LaneRoom(0 if taken else 1)
            case Mood.DECLINES:
                return LaneRoom(in_all, only_new=True)
            case Mood.WAITS:
                return LaneRoom(0)


def _of(room: Room, lane: LaneName) -> int:
    return room.lanes[lane].payments if lane in room.lanes else room.a_lane
