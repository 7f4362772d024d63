"""Transactions: entries that sum to zero for each asset; an unbalanced one cannot be made."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ledger.domain.account import Balance, NormalSide


class UnbalancedError(ValueError):
    """The entries of a transaction do not sum to zero for each asset: a fault in the ledger itself."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of a posted transaction, with the account's running state after it (minor units)."""

    account: str
    asset: str
    amount: int
    version: int
    balance: int
    posted_debits: int
    posted_credits: int
    normal_side: NormalSide = "credit"


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """A posted transaction; its id is the id of the event that asked for it."""

    id: str
    tenant: str
    type: str
    entries: tuple[Entry, ...]
    balances: tuple[Balance, ...]
    """The balance that each entry moved, entry by entry."""
    posted_at: datetime
    effective_at: datetime
    reference: str | None = None
    metadata: dict[str, Any] | None = None
    reverses: str | None = None
    captures: str | None = None

    def __post_init__(self) -> None:
        if not _is_pair(self.entries) and is_unbalanced((each.asset, each.amount) for each in self.entries):
            raise UnbalancedError(f"transaction {self.id} does not sum to zero")


def _is_pair(entries: Sequence[Entry]) -> bool:
    """Tell whether these are two entries that cancel each other out, as most transactions have."""
    return (
        len(entries) == 2 and entries[0].amount == -entries[1].amount and entries[0].asset == entries[1].asset
    )


class Line(msgspec.Struct, frozen=True):
    """One line of a transaction that was posted before, as its reversal needs it."""

    account: str
    asset: str
    amount: int


class Original(msgspec.Struct):
    """A posted transaction that may be reversed, and how much of it has been.

    `size` is the amount of a transaction of two entries; any other counts as one indivisible unit.
    """

    lines: Sequence[Line]
    reversed: int = 0

    @property
    def divisible(self) -> bool:
        return len(self.lines) == 2

    @property
    def size(self) -> int:
        return abs(self.lines[0].amount) if self.divisible else 1

    @property
    def left(self) -> int:
        return self.size - self.reversed

    def opposite(self, amount: int) -> list[Line]:
        """Give the lines that take back `amount` of it: part of a divisible one, else the whole."""
        if not self.divisible:
            return [Line(line.account, line.asset, -line.amount) for line in self.lines]
        return [Line(line.account, line.asset, -amount if line.amount > 0 else amount) for line in self.lines]


def original_of(transaction: Transaction) -> Original:
    """Make of a posted transaction what its reversal needs."""
    return Original([Line(entry.account, entry.asset, entry.amount) for entry in transaction.entries])


def is_unbalanced(lines: Iterable[tuple[str, int]]) -> bool:
    """Tell whether (asset, signed amount) pairs miss zero for any asset."""
    sums: dict[str, int] = {}
    for asset, amount in lines:
        sums[asset] = sums.get(asset, 0) + amount
    return any(sums.values())
