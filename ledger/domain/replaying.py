"""Deciding again what was decided before: at the time it was decided, and with what the deciders knew then."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec

from ledger.domain.account import BalanceKey
from ledger.domain.books import Books, EventKey, Rules, needs_of
from ledger.domain.commands import CaptureHold, Event, RequestPayment, VoidHold
from ledger.domain.outcome import Earlier, Outcome, rejected
from ledger.domain.payments.saga import Step
from ledger.domain.posting import decide
from ledger.domain.rejection import Reason, Rejection

NOT_TRIED = frozenset(
    {
        Reason.EVENT_TOO_OLD,
        Reason.EVENT_FROM_FUTURE,
        Reason.ACCOUNT_NOT_FOUND,
        Reason.TRANSACTION_NOT_FOUND,
        Reason.HOLD_NOT_FOUND,
        Reason.UNKNOWN_PROVIDER,
    }
)
"""Refusals for what settings, providers and sagas said, or for what was not there: they need not come out again."""

_NEED_LEAVE = frozenset({CaptureHold, VoidHold, RequestPayment})
"""Commands that a saga or a provider's row may have let do what the rules alone do not."""


class DecideAgain:
    """A Judge that repeats decisions: `precedents` are those of the events of a batch, by event.

    What was posted is decided by the rules anew. What was refused is refused again: a lock shows nothing of rows that
    a batch beside it, with an earlier time, was about to commit, so no order of times gives every refusal.
    """

    def __init__(self) -> None:
        self.precedents: Mapping[EventKey, Earlier] = {}
        self.times: Mapping[EventKey, datetime] = {}
        """The time at which events without a precedent are decided."""
        self.unseen: dict[EventKey, str] = {}
        """Events that were refused again and would not be here, with what the rules say."""

    def moment_of(self, event: Event, now: datetime) -> datetime:
        precedent = self.precedents.get(event.identity)
        return self.times.get(event.identity, now) if precedent is None else precedent.posted_at

    def decide(self, event: Event, books: Books, now: datetime, rules: Rules) -> Outcome:
        identity = event.identity
        precedent = self.precedents.get(identity)
        if precedent is None:
            return _dated(event, books, self.times.get(identity, now), rules)
        at = precedent.posted_at
        if precedent.fingerprint != event.fingerprint:
            return _dated(event, books, at, rules)
        if precedent.reason is not None and precedent.kind == "rejected":
            self._try(event, books, at, rules, precedent.reason)
            return rejected(event, Rejection(precedent.reason, precedent.detail or ""), at)
        if precedent.kind != "posted" or not _may_need_leave(event, books):
            return _dated(event, books, at, rules)
        with _allowed(event, books):
            return _dated(event, books, at, rules)

    def undone(self, events: Sequence[Event]) -> None:
        if self.unseen:
            for event in events:
                self.unseen.pop(event.identity, None)

    def _try(self, event: Event, books: Books, at: datetime, rules: Rules, reason: Reason) -> None:
        """Note a refusal that the rules would not give at this place of the order."""
        if reason in NOT_TRIED:
            return
        tried = decide(event, _apart(event, books), at, rules)
        if tried.reason != reason:
            self.unseen[event.identity] = str(tried.reason or tried.kind)


def _apart(event: Event, books: Books) -> Books:
    """Copy what an event can change."""
    needs = needs_of([event])
    apart = Books(
        auto_open=books.auto_open,
        providers=books.providers,
        oldest_id=books.oldest_id,
        payment_rules=books.payment_rules,
    )
    apart.holds = {key: copy.copy(books.holds[key]) for key in needs.holds & books.holds.keys()}
    apart.originals = {
        key: copy.copy(books.originals[key]) for key in needs.originals & books.originals.keys()
    }
    keys = needs.balances | _behind(apart)
    if needs.closing:
        keys |= {key for key in books.balances if key[:2] in needs.closing}
    names = needs.accounts | {key[:2] for key in keys}
    apart.accounts = {name: copy.copy(books.accounts[name]) for name in names & books.accounts.keys()}
    for key in keys & books.balances.keys():
        balance = apart.balances[key] = copy.copy(books.balances[key])
        balance.account = apart.accounts[key[:2]]
    return apart


def _behind(books: Books) -> set[BalanceKey]:
    keys = {(hold.tenant, code, hold.asset) for hold in books.holds.values() for code in hold.accounts}
    for (tenant, _), original in books.originals.items():
        keys |= {(tenant, line.account, line.asset) for line in original.lines}
    return keys


def _dated(event: Event, books: Books, at: datetime, rules: Rules) -> Outcome:
    """Decide, and note when that opened or closed accounts: a batch of a replay is of many times."""
    changes = books.changes
    opened, closed = len(changes.opened), len(changes.closed)
    outcome = decide(event, books, at, rules)
    if len(changes.opened) > opened:
        changes.opened_at |= {(each.tenant, each.code): at for each in changes.opened[opened:]}
    if len(changes.closed) > closed:
        changes.closed_at |= {(each.tenant, each.code): at for each in changes.closed[closed:]}
    return outcome


def _may_need_leave(event: Event, books: Books) -> bool:
    return type(event.command) in _NEED_LEAVE or not books.opens_by_itself(event.tenant)


@contextmanager
def _allowed(event: Event, books: Books) -> Iterator[None]:
    """Let an event that was posted do what a saga, a setting or a provider's row let it do then; it, and no other."""
    auto_open, providers = books.auto_open, books.providers
    if not books.opens_by_itself(event.tenant):
        books.auto_open = auto_open | {event.tenant: True}
    if isinstance(event.command, RequestPayment):
        books.providers = providers | {(event.tenant, event.command.provider)}
    try:
        with _hold_freed(event, books):
            yield
    finally:
        books.auto_open, books.providers = auto_open, providers


@contextmanager
def _hold_freed(event: Event, books: Books) -> Iterator[None]:
    """Free a hold of a saga that was the first to ask, and what is captured of an end that was not yet."""
    command = event.command
    hold = None
    if isinstance(command, CaptureHold | VoidHold):
        hold = books.holds.get((event.tenant, command.hold.lower()))
    if hold is None:
        yield
        return
    guard, ends = hold.guard, hold.expires_at
    step = Step.CAPTURE if isinstance(command, CaptureHold) else Step.RELEASE
    hold.guard = None if guard is None else msgspec.structs.replace(guard, event_id=event.id, step=step)
    if isinstance(command, CaptureHold):
        # Its accounts may have been posted to since, and what is posted is dated no earlier than that.
        hold.expires_at = None
    try:
        yield
    finally:
        hold.guard, hold.expires_at = guard, ends
