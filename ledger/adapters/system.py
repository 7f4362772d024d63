"""The system's clock and a source of fresh event ids."""

import secrets
import time
from datetime import UTC, datetime

import uuid6

from ledger.domain.moments import milliseconds


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def new_event_id() -> str:
    """Make a UUIDv7 from the clock and randomness.

    Not by `uuid6.uuid7()`: it never repeats a millisecond, so that more than a thousand ids a second run ahead
    of the clock, minutes ahead in a long run, and the ledger refuses an id from the future.
    """
    return _id_of(time.time_ns() // 1_000_000)


def new_event_id_at(moment: datetime) -> str:
    """Make a UUIDv7 from a time that another clock than this machine's tells, and randomness."""
    return _id_of(milliseconds(moment))


def new_event_id_beside(event_id: str) -> str:
    """Make a UUIDv7 with the time of another, and randomness that nobody can guess."""
    return _id_of(uuid6.UUID(event_id).int >> 80)


def _id_of(stamp_ms: int) -> str:
    return str(uuid6.UUID(int=stamp_ms << 80 | secrets.randbits(80), version=7))
