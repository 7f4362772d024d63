"""A finding: one thing that was looked at, how it is, and what to do if it is not well."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    FINE = "fine"
    INFORMATION = "information"
    WARNING = "warning"
    WRONG = "wrong"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found; `remedy` is empty where nothing needs doing."""

    name: str
    level: Level
    detail: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """A warning is well enough to run with."""
        return self.level not in (Level.WRONG, Level.AWAY)


def fine(name: str, detail: str) -> Finding:
    return Finding(name, Level.FINE, detail)


def judged(name: str, detail: str, *, wrong: str = "", warning: str = "") -> Finding:
    """Wrong if there is a remedy for what is wrong, else a warning if there is one for that, else fine."""
    if wrong:
        return Finding(name, Level.WRONG, detail, wrong)
    if warning:
        return Finding(name, Level.WARNING, detail, warning)
    return fine(name, detail)


def any_at(level: Level, findings: Iterable[Finding]) -> bool:
    return any(finding.level is level for finding in findings)


def counted(number: int, noun: str) -> str:
    """The number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
