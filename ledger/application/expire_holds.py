"""Let go of holds whose time is over: each becomes an ordinary event that voids it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import orjson

from ledger.application.ports import Clock
from ledger.contract.outgoing import Message, record_key

SOURCE = "ledger/expiry"
ASK_AGAIN_AFTER = timedelta(seconds=30)


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
    """Finds holds to let go of, and asks once for each; again only if it still stands after a while.

    The ids of the events are fresh, not derived from the hold: a tenant that knew them beforehand could use them
    up, and keep its holds in front of everybody's. Asked twice, the second is refused and changes nothing.
    """

    def __init__(self, holds: Holds, clock: Clock, new_id: Callable[[], str]) -> None:
        self._holds = holds
        self._clock = clock
        self._new_id = new_id
        self._asked: dict[tuple[str, str], datetime] = {}

    async def __call__(self, limit: int = 1000) -> list[Message]:
        """Give the events to send to `payments`."""
        now = self._clock.now()
        found = await self._holds.expired(now, limit)
        recent = {key: at for key, at in self._asked.items() if now - at < ASK_AGAIN_AFTER}
        due = [hold for hold in found if (hold.tenant, hold.id) not in recent]
        self._asked = recent | {(hold.tenant, hold.id): now for hold in due}
        return [self._void(hold) for hold in due]

    def _void(self, hold: ExpiredHold) -> Message:
        event = {
            "specversion": "1.0",
            "id": self._new_id(),
            "source": SOURCE,
            "type": "hold.void.v1",
            "tenant": hold.tenant,
            "data": {"hold": hold.id},
        }
        return Message(record_key(hold.tenant, hold.debit), orjson.dumps(event))
