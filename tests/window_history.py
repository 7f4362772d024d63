"""A second opinion on windows: worked out anew from a list of entries, without a lattice; and histories to try."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from hypothesis import strategies as st

from ledger.domain.window import Window, WindowSize, window_of_entry

BEGIN_S = 1_763_712_000
DAY_S = 86_400


@dataclass(frozen=True)
class Entry:
    """One entry of an account, with everything that the stream tells of it."""

    name: str
    version: int
    amount: int
    debits: int
    credits: int
    at_us: int

    @property
    def window(self) -> Window:
        return window_of_entry(
            normal_side="credit",
            version=self.version,
            amount=self.amount,
            posted_debits=self.debits,
            posted_credits=self.credits,
            balance=self.credits - self.debits,
            posted_at_us=self.at_us,
        )


def history(name: str, moves: Sequence[tuple[int, int]]) -> list[Entry]:
    """Make an account's entries of (amount, seconds since the one before)."""
    debited = list(accumulate(max(0, -amount) for amount, _ in moves))
    credited = list(accumulate(max(0, amount) for amount, _ in moves))
    times = list(accumulate(seconds for _, seconds in moves))
    return [
        Entry(name, index + 1, moves[index][0], debited[index], credited[index], (BEGIN_S + time) * 1_000_000)
        for index, time in enumerate(times)
    ]


def naive_window(entries: Iterable[Entry]) -> Window | None:
    """Work out a window from all of its entries, told once each, in the order of their versions."""
    ordered = sorted(set(entries), key=lambda entry: entry.version)
    if not ordered:
        return None
    first, last = ordered[0], ordered[-1]
    balances = [entry.credits - entry.debits for entry in ordered]
    return Window(
        normal_side="credit",
        first_version=first.version,
        opening_debits=first.debits - max(0, -first.amount),
        opening_credits=first.credits - max(0, first.amount),
        last_version=last.version,
        closing_debits=last.debits,
        closing_credits=last.credits,
        low=min(balances),
        high=max(balances),
        last_posted_at_us=last.at_us,
    )


def naive_windows(entries: Iterable[Entry], size: WindowSize) -> dict[int, Window]:
    """Work out all windows of a size, by their start."""
    found: dict[int, list[Entry]] = {}
    for entry in entries:
        seconds = entry.at_us // 1_000_000
        found.setdefault(seconds - seconds % size.seconds, []).append(entry)
    return {start: window for start, each in sorted(found.items()) if (window := naive_window(each))}


def naive_holes(versions: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Find the versions between the first and the last that are not there."""
    ordered = sorted(set(versions))
    return tuple((before + 1, after - 1) for before, after in pairwise(ordered) if after - before > 1)


moves = st.tuples(
    st.integers(-1000, 1000).filter(bool),
    st.sampled_from([0, 0, 1, 20, 70, 3000, 4000, 30_000, DAY_S, 2 * DAY_S]),
)
histories = st.lists(moves, min_size=1, max_size=30).map(lambda found: history("acme/ann USD/2", found))
