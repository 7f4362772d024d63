"""Windows of balances: a lattice, so that entries may come in any order, any number of times, in any pieces."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from ledger.domain.account import NormalSide


class WindowSize(StrEnum):
    """How long a window is; all begin at whole ones of their kind, in UTC."""

    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def seconds(self) -> int:
        return _SECONDS[self]


_SECONDS = {WindowSize.MINUTE: 60, WindowSize.HOUR: 3600, WindowSize.DAY: 86_400}


class Window(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the entries of one account and asset in a stretch of time come to, in minor units.

    It is made of its first entry (the smallest version), its last (the largest), and the lowest and highest
    balance. Merging takes the smaller and the larger, so it is associative, commutative and idempotent.
    Debits, credits and the number of entries are differences, right even while entries between are missing.
    """

    normal_side: NormalSide
    first_version: int
    opening_debits: int
    """Posted debits before the first entry."""
    opening_credits: int
    last_version: int
    closing_debits: int
    closing_credits: int
    low: int
    high: int
    last_posted_at_us: int
    """Of the last entry: microseconds since 1970."""

    @property
    def opening(self) -> int:
        return self._oriented(self.opening_credits - self.opening_debits)

    @property
    def closing(self) -> int:
        return self._oriented(self.closing_credits - self.closing_debits)

    @property
    def debits(self) -> int:
        return self.closing_debits - self.opening_debits

    @property
    def credits(self) -> int:
        return self.closing_credits - self.opening_credits

    @property
    def entries(self) -> int:
        return self.last_version - self.first_version + 1

    def _oriented(self, net: int) -> int:
        return net if self.normal_side == "credit" else -net


def window_of_entry(
    *,
    normal_side: NormalSide,
    version: int,
    amount: int,
    posted_debits: int,
    posted_credits: int,
    balance: int,
    posted_at_us: int,
) -> Window:
    """Make the window of a single entry; totals and balance are those after it."""
    return Window(
        normal_side,
        version,
        posted_debits - max(0, -amount),
        posted_credits - max(0, amount),
        version,
        posted_debits,
        posted_credits,
        balance,
        balance,
        posted_at_us,
    )


def merge(one: Window, other: Window) -> Window:
    """Put two windows of the same account and asset together; gives `one` itself where the other adds nothing."""
    if (
        one.first_version <= other.first_version
        and other.last_version <= one.last_version
        and one.low <= other.low
        and other.high <= one.high
    ):
        return one
    first = one if one.first_version <= other.first_version else other
    last = one if one.last_version >= other.last_version else other
    return Window(
        one.normal_side,
        first.first_version,
        first.opening_debits,
        first.opening_credits,
        last.last_version,
        last.closing_debits,
        last.closing_credits,
        min(one.low, other.low),
        max(one.high, other.high),
        last.last_posted_at_us,
    )


def merged(windows: Iterable[Window]) -> Window | None:
    """Put any number of windows together; None for none."""
    total: Window | None = None
    for window in windows:
        total = window if total is None else merge(total, window)
    return total


def start_of(size: WindowSize, moment_us: int) -> int:
    """Say where the window of `size` that holds a moment begins, in seconds since 1970."""
    seconds = moment_us // 1_000_000
    return seconds - seconds % size.seconds
