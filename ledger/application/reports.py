"""Reports that others wrote: verdicts of verifications, replays, measurements; kept as files, read as they are."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from ledger.domain.audit import VIOLATIONS_SHOWN_MAX, Check, Verdict

VERIFICATION = "verification.json"
"""The verdict of the last verification, as a report."""


class ReportFile(msgspec.Struct, frozen=True):
    """A report: its name, below the directory of reports, its bytes, and when it was written."""

    name: str
    size: int
    at: datetime


class Verification(msgspec.Struct, frozen=True):
    """A verdict, when it was found, and how long that took."""

    at: datetime
    seconds: float
    topic: str
    ok: bool
    checks: Sequence["Checked"]

    @property
    def violations(self) -> int:
        return sum(len(each.violations) for each in self.checks)


class Checked(msgspec.Struct, frozen=True):
    """One check of a verification."""

    name: str
    ok: bool
    checked: int
    violations: Sequence[Mapping[str, Any]]

    @property
    def are_more(self) -> bool:
        """Whether there may be more violations than are told."""
        return len(self.violations) >= VIOLATIONS_SHOWN_MAX


class Reports(Protocol):
    """Where reports are kept."""

    async def files(self) -> Sequence[ReportFile]:
        """List them, the newest first."""
        ...

    async def read(self, name: str) -> bytes | None:
        """Read one; None: there is none of that name."""
        ...


class Verifications(Protocol):
    """Where the last verdict is kept. Every method may raise TransientFaultError."""

    async def keep(self, verification: Verification) -> None:
        """Put it in place of the one before; from then on its time is when that was, by the clock of the books."""
        ...

    async def last(self) -> Verification | None:
        """Read the last that was kept."""
        ...


def verification_of(verdict: Verdict, at: datetime, seconds: float, topic: str) -> Verification:
    """Make of a verdict what is kept of it."""
    return Verification(at, seconds, topic, verdict.ok, [_checked(each) for each in verdict.checks])


def _checked(check: Check) -> Checked:
    return Checked(check.name, check.ok, check.checked, check.violations)


def encode_verification(verification: Verification) -> bytes:
    """Write it as JSON."""
    return msgspec.json.format(msgspec.json.encode(verification), indent=2)


def decode_verification(text: bytes) -> Verification | None:
    """Read what `encode_verification` wrote; None: it is something else."""
    try:
        return msgspec.json.decode(text, type=Verification)
    except msgspec.DecodeError:
        return None
