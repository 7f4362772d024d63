"""Histories of one balance, and what a stream knows that has seen a part of them: for tests of readers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce

from ledger.application.reading import BalanceView, WindowOf
from ledger.application.stream_reading import (
    BalanceOf,
    Cause,
    StreamAwayError,
    StreamBalance,
    StreamWindows,
)
from ledger.domain.life import join, life_of
from ledger.domain.window import Window, WindowSize, merge, start_of, window_of_entry

OF = BalanceOf("acme", "ann", "USD/2")
BEGIN_S = 1_763_712_000


@dataclass(frozen=True)
class Entry:
    """One entry, as the window that it is alone."""

    at_us: int
    window: Window


def history(steps: Iterable[tuple[int, int]]) -> list[Entry]:
    """Make entries of (seconds since the one before, amount)."""
    made: list[Entry] = []
    at_us, debits, credits_ = BEGIN_S * 1_000_000, 0, 0
    for version, (pause_s, amount) in enumerate(steps, start=1):
        at_us += pause_s * 1_000_000
        debits, credits_ = debits + max(0, -amount), credits_ + max(0, amount)
        window = window_of_entry(
            normal_side="credit",
            version=version,
            amount=amount,
            posted_debits=debits,
            posted_credits=credits_,
            balance=credits_ - debits,
            posted_at_us=at_us,
        )
        made.append(Entry(at_us, window))
    return made


def windows_of(entries: Iterable[Entry], size: WindowSize) -> list[WindowOf]:
    """Merge entries one by one, in any order."""
    found: dict[int, Window] = {}
    for entry in entries:
        start = start_of(size, entry.at_us)
        found[start] = merge(found[start], entry.window) if start in found else entry.window
    return [WindowOf(start, found[start]) for start in sorted(found)]


def page(windows: Sequence[WindowOf], first: int, before: int, limit: int) -> list[WindowOf]:
    return [each for each in windows if first <= each.start < before][:limit]


class FakeStream:
    """A stream that has seen some entries, keeps windows from a second on, or is away."""

    def __init__(self, seen: Sequence[Entry], kept_from: int = 0, fresh_at_us: int = 0) -> None:
        self.seen, self.kept_from, self.fresh_at_us = seen, kept_from, fresh_at_us
        self.away: Cause | None = None

    @property
    def _life(self) -> object:
        return reduce(join, [life_of(entry.window) for entry in self.seen]) if self.seen else None

    def _check(self) -> None:
        if self.away is not None:
            raise StreamAwayError(self.away, "as the test wants it")

    async def balance(self, of: BalanceOf) -> StreamBalance:
        self._check()
        return StreamBalance(of, self._life, self.fresh_at_us)  # type: ignore[arg-type]

    async def windows(
        self, of: BalanceOf, size: WindowSize, first: int, before: int, limit: int
    ) -> StreamWindows:
        self._check()
        kept = -(-self.kept_from // size.seconds) * size.seconds
        found = page(windows_of(self.seen, size), max(first, kept), before, limit)
        time_us = max((entry.at_us for entry in self.seen), default=0)
        return StreamWindows(of, size, self._life, self.fresh_at_us, kept, time_us, found)  # type: ignore[arg-type]


class FakeBooks:
    """Books that hold every entry, and count how often they are asked."""

    def __init__(
        self, entries: Sequence[Entry] | None, views: Mapping[str, BalanceView] | None = None
    ) -> None:
        self.entries, self.views = entries, views or {}
        self.asked = 0

    async def windows(
        self, tenant_id: int, account: str, asset: str, size: WindowSize, first: int, before: int, limit: int
    ) -> list[WindowOf] | None:
        self.asked += 1
        return None if self.entries is None else page(windows_of(self.entries, size), first, before, limit)

    async def balance(self, tenant_id: int, account: str, asset: str) -> BalanceView | None:
        self.asked += 1
        return self.views.get(account)

    async def balance_at(self, tenant_id: int, account: str, asset: str, at: datetime) -> BalanceView | None:
        raise NotImplementedError

    async def account(self, tenant_id: int, account: str) -> None:
        raise NotImplementedError


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
