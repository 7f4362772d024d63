"""The system's clock and a source of fresh event ids."""

import secrets
import time
from datetime import UTC, datetime

import uuid6


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def new_event_id() -> str:
    """Make a UUIDv7 from the clock and randomness.

    Not by `uuid6.uuid7()`: it never repeats a millisecond, so that more than a thousand ids a second run ahead
    of the clock, minutes ahead in a long run, and the ledger refuses an id from the future.
    """
    stamp = time.time_ns() // 1_000_000
    return str(uuid6.UUID(int=stamp << 80 | secrets.randbits(80), version=7))


def new_event_id_beside(event_id: str) -> str:
    """Make a UUIDv7 with the time of another, and randomness that nobody can guess."""
    stamp = uuid6.UUID(event_id).int >> 80
    return str(uuid6.UUID(int=stamp << 80 | secrets.randbits(80), version=7))
