"""Let go of holds whose time is over: each becomes an ordinary event that voids it, with an id derived from it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec
import orjson

from ledger.application.ports import Clock
from ledger.contract.outgoing import Message, record_key
from ledger.domain.ids import derived_id, milliseconds

SOURCE = "ledger/expiry"
ID_AGE_MS_MAX = 7 * 24 * 3600 * 1000


class ExpiredHold(msgspec.Struct, frozen=True):
    """An open hold past its time."""

    tenant: str
    id: str
    debit: str
    expires_at: datetime


class Holds(Protocol):
    async def expired(self, now: datetime, limit: int) -> Sequence[ExpiredHold]:
        """Find open holds whose `expires_at` has passed, the oldest first."""
        ...


class ExpireHolds:
    """Finds holds to let go of; asked again too early, it gives the same events, which are absorbed."""

    def __init__(self, holds: Holds, clock: Clock) -> None:
        self._holds = holds
        self._clock = clock

    async def __call__(self, limit: int = 1000) -> list[Message]:
        """Give the events to send to `payments`."""
        now = self._clock.now()
        return [_void(hold, now) for hold in await self._holds.expired(now, limit)]


def _void(hold: ExpiredHold, now: datetime) -> Message:
    # An id as old as the hold's end could be older than the horizon if the ledger stood still for long.
    time_ms = max(milliseconds(hold.expires_at), milliseconds(now) - ID_AGE_MS_MAX)
    event = {
        "specversion": "1.0",
        "id": derived_id(time_ms, hold.tenant, hold.id, "expire"),
        "source": SOURCE,
        "type": "hold.void.v1",
        "tenant": hold.tenant,
        "data": {"hold": hold.id},
    }
    return Message(record_key(hold.tenant, hold.debit), orjson.dumps(event))
