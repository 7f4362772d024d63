"""What an audit finds: for each check, how much it looked at and what violates it."""

from typing import Any

import msgspec

VIOLATIONS_SHOWN_MAX = 100


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
