"""What the stream knows of balances, and the port that asks for it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, Protocol

import msgspec

from ledger.application.reading import WindowOf
from ledger.domain.life import Life
from ledger.domain.window import WindowSize

Source = Literal["stream", "database"]


class Cause(StrEnum):
    """Why the stream was not, or not alone, what answered."""

    NOT_SET_UP = "not_set_up"
    UNREACHABLE = "unreachable"
    TOO_SLOW = "too_slow"
    BREAKER_OPEN = "breaker_open"
    NOT_READY = "not_ready"
    MISDIRECTED = "misdirected"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """The stream never heard of that balance."""
    INCOMPLETE = "incomplete"
    """Versions are missing in what the stream has."""


class StreamAwayError(Exception):
    """The stream cannot answer now; the database can."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause


class BalanceOf(msgspec.Struct, frozen=True):
    """Which balance an answer is of."""

    tenant: str
    account: str
    asset: str


class StreamBalance(msgspec.Struct, frozen=True):
    """All that the stream has seen of a balance; None: nothing."""

    of: BalanceOf
    life: Life | None
    fresh_at_us: int
    """The stream had seen all that was published by then; microseconds since 1970."""


class StreamWindows(msgspec.Struct, frozen=True):
    """Windows as one worker had them at one moment, oldest first."""

    of: BalanceOf
    size: WindowSize
    life: Life | None
    fresh_at_us: int
    kept_from: int
    """Windows that begin at this second since 1970, or later, are kept."""
    time_us: int
    """When the latest entry of the balance's partition was posted."""
    windows: Sequence[WindowOf]


class StreamReader(Protocol):
    """The stream's own reading of balances. Every method raises StreamAwayError."""

    async def balance(self, of: BalanceOf) -> StreamBalance:
        """Read the newest entry of a balance."""
        ...

    async def windows(
        self, of: BalanceOf, size: WindowSize, first: int, before: int, limit: int
    ) -> StreamWindows:
        """Read the windows that hold entries and begin in [first, before), the `limit` oldest that are kept."""
        ...
