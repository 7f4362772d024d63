"""Deciding again what was decided before: at the time it was decided, and with what the deciders knew then."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ledger.domain.books import Books, EventKey, Rules
from ledger.domain.commands import CaptureHold, Event, RequestPayment, VoidHold
from ledger.domain.outcome import Earlier, Outcome, rejected
from ledger.domain.payments.saga import Step
from ledger.domain.posting import decide
from ledger.domain.rejection import Reason, Rejection

REPEATED = frozenset(
    {
        Reason.EVENT_TOO_OLD,
        Reason.EVENT_FROM_FUTURE,
        Reason.ACCOUNT_NOT_FOUND,
        Reason.TRANSACTION_NOT_FOUND,
        Reason.HOLD_NOT_FOUND,
        Reason.UNKNOWN_PROVIDER,
    }
)
"""Refusals for what a decider did not see or settings said: neither order nor time of a replay shows that again.

A hold that a batch beside it was about to commit was not found, though that batch has the earlier time.
"""


class DecideAgain:
    """A Judge that repeats decisions: `precedents` are those of the events of a batch, by event."""

    def __init__(self) -> None:
        self.precedents: Mapping[EventKey, Earlier] = {}
        self.times: Mapping[EventKey, datetime] = {}
        """The time at which events without a precedent are decided."""

    def moment_of(self, event: Event, now: datetime) -> datetime:
        precedent = self.precedents.get(event.identity)
        return self.times.get(event.identity, now) if precedent is None else precedent.posted_at

    def decide(self, event: Event, books: Books, now: datetime, rules: Rules) -> Outcome:
        at = self.moment_of(event, now)
        precedent = self.precedents.get(event.identity)
        if precedent is None or precedent.fingerprint != event.fingerprint:
            return _dated(event, books, at, rules)
        if precedent.reason in REPEATED:
            return rejected(event, Rejection(precedent.reason, precedent.detail or ""), at)
        if precedent.kind == "posted":
            _allow(event, books)
        return _dated(event, books, at, rules)


def _dated(event: Event, books: Books, at: datetime, rules: Rules) -> Outcome:
    """Decide, and note when that opened or closed accounts: a batch of a replay is of many times."""
    changes = books.changes
    opened, closed = len(changes.opened), len(changes.closed)
    outcome = decide(event, books, at, rules)
    changes.opened_at |= {(each.tenant, each.code): at for each in changes.opened[opened:]}
    changes.closed_at |= {(each.tenant, each.code): at for each in changes.closed[closed:]}
    return outcome


def _allow(event: Event, books: Books) -> None:
    """Let an event that was posted do what a saga, a setting or a provider's row let it do then."""
    command = event.command
    books.auto_open[event.tenant] = True
    match command:
        case RequestPayment():
            books.providers.add((event.tenant, command.provider))
        case CaptureHold() | VoidHold():
            hold = books.holds.get((event.tenant, command.hold.lower()))
            if hold is not None and hold.guard is not None:
                step = Step.CAPTURE if isinstance(command, CaptureHold) else Step.RELEASE
                hold.guard = msgspec.structs.replace(hold.guard, event_id=event.id, step=step)
