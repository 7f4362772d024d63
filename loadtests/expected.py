"""The books that a workload must end in, as its generator works them out: nothing of the ledger is used for it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

Account = tuple[str, str, str]
"""Tenant, account, asset."""


class Totals(NamedTuple):
    """What one account and asset comes to, in minor units; `version` is the number of its entries."""

    debits: int
    credits: int
    held: int
    version: int


class Standing(NamedTuple):
    """What stood in the books before anything was sent, and so was never published."""

    ids: int = 0
    entries: int = 0


@dataclass(slots=True)
class ExpectedBooks:
    """Exact books, whatever the order between partitions was; built up by the methods."""

    _sums: dict[Account, list[int]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    """Ids by what became of them: `posted`, `duplicate`, or the reason of a refusal."""

    repeats: int = 0
    """Records whose id came before, with the same content."""
    reused: int = 0
    """Records whose id came before, with other content."""
    dead_letters: int = 0
    transactions: int = 0
    entries: int = 0
    standing: Standing = field(default_factory=Standing)
    payments: int = 0
    """Payments by a provider, all of which come to an end."""

    def move(self, account: Account, amount: int, entries: int = 1) -> None:
        """Count entries of one sign that come to `amount`."""
        sums = self._sums.get(account)
        if sums is None:
            sums = self._sums[account] = [0, 0, 0, 0]
        sums[amount > 0] += abs(amount)
        sums[3] += entries
        self.entries += entries

    def hold(self, account: Account, amount: int) -> None:
        """Count what is held more (or less, if negative)."""
        self._sums.setdefault(account, [0, 0, 0, 0])[2] += amount

    def transfers(self, count: int) -> None:
        """Count events that posted transactions whose entries are moved one by one."""
        self.transactions += count
        self.outcomes["posted"] += count

    @property
    def accounts(self) -> int:
        """How many accounts and assets have a balance."""
        return len(self._sums)

    def balances(self) -> Iterator[tuple[Account, Totals]]:
        """Give every account and asset with what it comes to."""
        return ((account, Totals(*sums)) for account, sums in self._sums.items())

    def ground_ends(self) -> None:
        """Say that all so far stood before."""
        self.standing = Standing(self.ids, self.entries)

    @property
    def ids(self) -> int:
        """How many ids were claimed."""
        return self.outcomes.total()

    @property
    def published_outcomes(self) -> int:
        """How many outcomes are published, at the least: one for each record that is an event."""
        return self.ids - self.standing.ids + self.repeats + self.reused

    @property
    def published_entries(self) -> int:
        """How many entries are published, at the least."""
        return self.entries - self.standing.entries
