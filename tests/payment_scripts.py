"""Tables of text for one payment: what happens | the state after it | what is to be done.

`+30 wake` moves the clock first. Before the state, `.` says absorbed and `!` contradiction. An answer belongs to the
last call, or to the one whose number it gives. Times are seconds from now; the dice always show one half.
"""

from datetime import timedelta
from typing import Any

from ledger.domain.payments.commands import AlertOperator, Call, Capture, Release, WakeAt
from ledger.domain.payments.happenings import (
    CapturePosted,
    CaptureRefused,
    ChargeAccepted,
    ChargeDeclined,
    Decided,
    Decision,
    Happening,
    HoldPlaced,
    HoldRefused,
    NotFound,
    Pending,
    RefundAccepted,
    RefundDeclined,
    ReleasePosted,
    ReleaseRefused,
    RetryLater,
    Unknown,
    WokeUp,
)
from ledger.domain.payments.machine import advance
from ledger.domain.payments.rules import Occasion, PaymentRules
from ledger.domain.payments.saga import HoldFact, Saga, start
from ledger.domain.payments.steps import Advanced, Verdict
from tests.builders import NOW

RULES = PaymentRules(
    charge_tries_max=3,
    refund_tries_max=3,
    publish_tries_max=2,
    answer_s=30,
    outcome_s=15,
    backoff_s=2,
    backoff_s_max=60,
    not_found_grace_s=120,
    unknown_s_max=1000,
    alert_again_s=3600,
    deadline_s=900,
)
MARKS = {Verdict.MOVED: "", Verdict.ABSORBED: ". ", Verdict.CONTRADICTION: "! "}
SAID: dict[str, Any] = {
    "hold placed": HoldPlaced,
    "hold refused": HoldRefused,
    "accepted": ChargeAccepted,
    "declined": ChargeDeclined,
    "refund accepted": RefundAccepted,
    "refund declined": RefundDeclined,
    "capture posted": CapturePosted,
    "capture refused": CaptureRefused,
    "void posted": ReleasePosted,
    "void refused": ReleaseRefused,
    "wake": WokeUp,
    "unknown": Unknown,
    "later": RetryLater,
    "not found": NotFound,
    "pending": Pending,
    "told": Decided,
}


class Case:
    """One payment under a clock that is moved by hand."""

    def __init__(self, rules: PaymentRules = RULES) -> None:
        self.rules = rules
        self.now = NOW
        self.saga: Saga = start("p", tenant="t", now=NOW, deadline=None, rules=rules)
        self.calls: dict[int, Call] = {}
        self.events: list[str] = []

    def tell(self, happening: Happening, chance: float = 0.5) -> Advanced:
        fresh_id = f"e{len(self.events) + 1}"
        advanced = advance(self.saga, happening, Occasion(self.now, chance, fresh_id, self.rules))
        self.saga = advanced.saga
        for command in advanced.commands:
            if isinstance(command, Capture | Release) and command.event_id == fresh_id:
                self.events.append(fresh_id)
            elif isinstance(command, Call):
                self.calls[command.attempt] = command
        return advanced

    def say(self, words: str) -> Advanced:
        """Read `[+seconds] what [details]`."""
        first, _, rest = words.partition(" ")
        if first.startswith("+"):
            self.now += timedelta(seconds=float(first))
            words = rest.strip()
        name = max((name for name in SAID if words.startswith(name)), key=len)
        return self.tell(self._read(SAID[name], words.removeprefix(name).split()))

    def _read(self, kind: Any, details: list[str]) -> Happening:
        if kind is Decided:
            reference = details.pop() if details[0] == Decision.CHARGED else None
            return Decided(Decision("_".join(details)), "ops", reference)
        if kind in (Unknown, RetryLater, NotFound, Pending):
            number = int(details.pop(0)) if details and details[0].isdigit() else max(self.calls)
            after = [float(details[-1].removeprefix("after="))] if details else []
            happening: Happening = kind(self.calls[number], *after)
            return happening
        if kind is CaptureRefused:
            return CaptureRefused("closed", HoldFact(details[0] if details else "open"))
        if kind is ReleaseRefused:
            event_id = details[1] if details[1:] else self.events[-1]
            return ReleaseRefused(event_id, "closed", HoldFact(details[0]))
        said: Happening = kind(*details)
        return said

    def shown(self, advanced: Advanced) -> str:
        """Write a move as the tables do."""
        done = ", ".join(self._command(command) for command in advanced.commands)
        return f"{MARKS[advanced.verdict]}{advanced.saga.state} | {done}".strip()

    def _command(self, command: Any) -> str:
        match command:
            case WakeAt():
                return f"wake {(command.at - self.now).total_seconds():+g}"
            case AlertOperator():
                return f"alert: {command.reason}"
            case Capture() | Release():
                return f"{command.__struct_config__.tag} {command.event_id}"
        return f"{command.__struct_config__.tag} {command.attempt}"


def follow(script: str, case: Case | None = None) -> Case:
    """Play a table, and compare every line."""
    case = case or Case()
    lines = [[part.strip() for part in line.split("|")] for line in script.strip().splitlines()]
    played = [[words, *_parts(case.shown(case.say(words)))] for words, *_ in lines]
    told = [[*line, ""][:3] for line in lines]
    assert played == told, f"played:\n{_table(played)}\ntold:\n{_table(told)}"
    return case


HELD = """
    hold placed       | funds_held     | wake +0
    wake              | charging       | charge 1, wake +30
"""


def charging(script: str) -> Case:
    """Play a table that goes on from the first try to charge."""
    return follow(HELD + script.lstrip("\n"))


def _parts(shown: str) -> list[str]:
    return [part.strip() for part in shown.split("|")]


def _table(rows: list[list[str]]) -> str:
    return "\n".join(" | ".join(row) for row in rows)
