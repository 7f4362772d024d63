"""The system's clock and a source of fresh event ids."""

from datetime import UTC, datetime

import uuid6


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def new_event_id() -> str:
    """Make a UUIDv7 from the clock and randomness."""
    return str(uuid6.uuid7())
