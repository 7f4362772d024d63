"""What the checker found: for each invariant what was checked, what is wrong with it, and what was not looked at."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

INVARIANTS = {
    "Z": "zero: entries of each transaction and tenant sum to zero",
    "O": "once: one outcome for an event id, one transaction at most",
    "L": "no loss: acknowledged = posted + rejected + dead letters",
    "B": "balances: an account is the sum of its entries",
    "W": "windows: the stream's are those worked out in SQL",
    "S": "sagas: at an end, with the provider's book",
    "R": "reads: the API says what the tables say",
    "P": "replay: books made anew stand equal",
    "V": "liveness: lag has returned to zero",
    "T": "tenants: nobody sees another's rows",
}
SHOWN_MAX = 20
"""Of findings of one kind so many are kept; all are counted."""


class Finding(NamedTuple):
    """One violation: of which invariant, what it is, whose, and the facts."""

    invariant: str
    what: str
    subject: str
    detail: str = ""


@dataclass(slots=True)
class Invariant:
    """One row of the report."""

    checked: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.counts

    def told(self) -> dict[str, Any]:
        """Give it for JSON."""
        shown = [
            {"what": each.what, "subject": each.subject, "detail": each.detail} for each in self.findings
        ]
        return {
            "ok": self.ok,
            "checked": self.checked,
            "findings": shown,
            "counts": dict(self.counts),
            "notes": self.notes,
        }


class Report:
    """All invariants; what was not checked has `checked` 0 and a note that says why."""

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """`tell` hears what is looked at next, for whoever waits."""
        self.invariants = {name: Invariant() for name in INVARIANTS}
        self.figures: dict[str, int] = {}
        self.tell = tell

    @property
    def ok(self) -> bool:
        return all(each.ok for each in self.invariants.values())

    def checked(self, invariant: str, count: int) -> None:
        """Count things that were looked at."""
        self.invariants[invariant].checked += count

    def note(self, invariant: str, text: str) -> None:
        """Say what was not looked at, or how."""
        self.invariants[invariant].notes.append(text)

    def add(self, findings: Iterable[Finding]) -> None:
        """Take findings in; of many of one kind, the first."""
        for finding in findings:
            row = self.invariants[finding.invariant]
            row.counts[finding.what] += 1
            if row.counts[finding.what] <= SHOWN_MAX:
                row.findings.append(finding)

    def verdict(self) -> str:
        """Say of the records: equal, less, more, or both."""
        kinds = {what.partition(":")[0] for what in self.invariants["L"].counts}
        return " and ".join(sorted(kinds & {"less", "more", "changed"})) or "equal"

    def told(self) -> dict[str, Any]:
        """Give all of it for JSON."""
        invariants = {name: each.told() for name, each in self.invariants.items()}
        return {"ok": self.ok, "verdict": self.verdict(), "figures": self.figures, "invariants": invariants}

    def lines(self) -> Iterable[str]:
        """Write a table for a person."""
        for name, row in self.invariants.items():
            state = "wrong" if not row.ok else "holds" if row.checked else "not run"
            yield f"{name}  {state:<8}{row.checked:>12,} checked   {INVARIANTS[name]}"
            yield from (f"     ({note})" for note in row.notes)
            for what, count in row.counts.items():
                yield f"     {what}: {count:,}"
                shown = [each for each in row.findings if each.what == what][:5]
                yield from (f"       {each.subject}  {each.detail}" for each in shown)
        figures = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in self.figures.items())
        yield f"records: {self.verdict()} ({figures})"
        yield "everything that was checked holds" if self.ok else "INVARIANTS ARE BROKEN"
