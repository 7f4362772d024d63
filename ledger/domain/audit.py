"""What an audit finds: for each check, how much it looked at and what violates it."""

from collections.abc import Mapping
from typing import Any

import msgspec

VIOLATIONS_SHOWN_MAX = 100

MEANINGS: Mapping[str, str] = {
    "zero_sum": "entries of each transaction, and each tenant, sum to zero",
    "one_outcome": "each event id has one outcome, and at most one transaction",
    "no_loss": "each record of the topic is an outcome or a dead letter, and no more",
    "balances": "each balance is the sum of its entries, and within its overdraft",
    "versions": "versions have no gaps, running totals and times fit",
    "holds": "each hold is captured + released + left, and held agrees",
    "sagas": "each payment agrees with hold, saga, timeline and provider's book",
    "chain": "each transaction is what the audit chain vouches for, in its place",
    "checkpoints": "the chain is what signed checkpoints say of it",
    "windows": "each window of the stream is that of its entries",
}
"""What each check by its name looks for, in words."""


class Check(msgspec.Struct, frozen=True):
    """One check of the books; each violation names its row and says what is wrong with it."""

    name: str
    checked: int
    violations: list[dict[str, Any]]

    @property
    def ok(self) -> bool:
        return not self.violations


class Verdict(msgspec.Struct, frozen=True):
    """All checks together."""

    checks: list[Check]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Give the shape that `ledger verify --json` prints."""
        return {
            "ok": self.ok,
            "checks": [
                {
                    "name": check.name,
                    "ok": check.ok,
                    "checked": check.checked,
                    "violations": check.violations,
                }
                for check in self.checks
            ],
        }
