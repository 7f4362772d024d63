"""The decision: what one event does to the books, by a ladder of checks in the order of the closed list.

Every check that fails gives its refusal; after the last one the act must succeed.
An event sees what the events before it did, whether they came in its batch or in another.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from ledger.domain.account import Account, opened_account
from ledger.domain.books import Books, Rules, id_span
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Event,
    OpenAccount,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    RequestPayment,
    ReverseTransaction,
    VoidHold,
)
from ledger.domain.holding import capture_hold, is_awaited, place_hold, void_hold
from ledger.domain.ids import time_ms_of
from ledger.domain.moments import milliseconds
from ledger.domain.money import in_range
from ledger.domain.movements import (
    Movement,
    check_accounts,
    check_funds,
    check_movements,
    check_totals,
    closed,
    not_found,
    out_of_range,
    post,
    transfer,
)
from ledger.domain.outcome import Outcome, rejected
from ledger.domain.rejection import Reason, Rejection
from ledger.domain.requesting import request_payment
from ledger.domain.transaction import Original, is_unbalanced


def decide(event: Event, books: Books, now: datetime, rules: Rules) -> Outcome:
    """Decide `event` against `books`, which then hold what it did; a refusal changes nothing."""
    rejection = None if _is_in_time(event.id, books, now, rules) else _check_time(event, books, now, rules)
    if rejection is not None:
        return rejected(event, rejection, now)
    result = _DECIDERS[type(event.command)](event, event.command, books, now)
    return rejected(event, result, now) if isinstance(result, Rejection) else result


def _is_in_time(event_id: str, books: Books, now: datetime, rules: Rules) -> bool:
    span = books.span
    if span is None or (span.now is not now and span.now != now):
        span = books.span = id_span(now, books.oldest_id, rules)
    return span.first <= event_id < span.end


def _check_time(event: Event, books: Books, now: datetime, rules: Rules) -> Rejection | None:
    if is_awaited(event, books):
        return None
    if event.id < books.oldest_id:
        return Rejection(Reason.EVENT_TOO_OLD, "its id is older than those that are still known")
    age_ms = milliseconds(now) - time_ms_of(event.id)
    if age_ms > rules.dedupe_horizon.total_seconds() * 1000:
        return Rejection(Reason.EVENT_TOO_OLD, f"its id is older than {rules.dedupe_horizon.days} days")
    if -age_ms > rules.future_tolerance.total_seconds() * 1000:
        return Rejection(Reason.EVENT_FROM_FUTURE, f"its id is {-age_ms} ms ahead of the ledger's clock")
    return None


# Accounts


def _open_account(event: Event, command: OpenAccount, books: Books, now: datetime) -> Outcome | Rejection:
    account = books.account(event.tenant, command.account)
    if not account.stands:
        _adopt(account, opened_account(event.tenant, command))
        books.open(account)
        return Outcome(event, "posted", now)
    if not account.stands_as(command):
        detail = f"account {account.code} stands with other settings"
        return Rejection(Reason.ACCOUNT_EXISTS_DIFFERENTLY, detail)
    return closed(account) or Outcome(event, "duplicate", now, detail="the account stands so already")


def _adopt(draft: Account, opened: Account) -> None:
    # Drafted balances point at the draft, so it takes the settings on rather than being replaced.
    draft.normal_side, draft.overdraft, draft.metadata = opened.normal_side, opened.overdraft, opened.metadata


def _close_account(event: Event, command: CloseAccount, books: Books, now: datetime) -> Outcome | Rejection:
    account = books.account(event.tenant, command.account)
    if not account.stands:
        return not_found(account)
    if account.closed:
        return Rejection(Reason.ACCOUNT_CLOSED, f"account {account.code} is closed")
    for balance in books.balances_of(account):
        if balance.balance or balance.held:
            detail = f"account {account.code} still holds {balance.asset}"
            return Rejection(Reason.ACCOUNT_NOT_EMPTY, detail)
    books.close(account)
    return Outcome(event, "posted", now)


# Transactions


def _post_transfer(event: Event, command: PostTransfer, books: Books, now: datetime) -> Outcome | Rejection:
    if command.debit == command.credit:
        return Rejection(Reason.SAME_ACCOUNT, f"debit and credit are both {command.debit}")
    if not in_range(command.amount):
        return out_of_range()
    movements = transfer(books, event.tenant, command, command.amount)
    return check_movements(books, movements) or post(event, command, books, movements, now)


def _post_transaction(
    event: Event, command: PostTransaction, books: Books, now: datetime
) -> Outcome | Rejection:
    lines = command.entries
    if is_unbalanced((line.asset, line.amount) for line in lines):
        return Rejection(Reason.UNBALANCED, "the entries do not sum to zero for each asset")
    if len({line.account for line in lines}) == 1:
        return Rejection(Reason.SAME_ACCOUNT, f"every entry is on {lines[0].account}")
    if not all(in_range(abs(line.amount)) for line in lines):
        return out_of_range()
    movements = [(books.balance(event.tenant, line.account, line.asset), line.amount) for line in lines]
    return check_movements(books, movements) or post(event, command, books, movements, now)


def _reverse(event: Event, command: ReverseTransaction, books: Books, now: datetime) -> Outcome | Rejection:
    original = books.originals.get((event.tenant, command.transaction.lower()))
    amount = command.amount
    if amount is not msgspec.UNSET and not in_range(amount):
        return out_of_range()
    if original is None:
        return Rejection(Reason.TRANSACTION_NOT_FOUND, f"no transaction {command.transaction}")
    taken = original.left if amount is msgspec.UNSET else amount
    movements = [
        (books.balance(event.tenant, line.account, line.asset), line.amount)
        for line in original.opposite(taken)
    ]
    rejection = (
        check_totals(movements)
        or check_accounts(books, [balance for balance, _ in movements])
        or _check_left(original, taken, whole=amount is msgspec.UNSET)
        or check_funds(movements)
    )
    return rejection or _post_reversal(event, command, books, original, taken, movements, now)


def _check_left(original: Original, taken: int, *, whole: bool) -> Rejection | None:
    if not original.left:
        return Rejection(Reason.ALREADY_REVERSED, "all of it has been reversed")
    if not original.divisible and not whole:
        detail = "only a transaction of two entries can be reversed in part"
        return Rejection(Reason.EXCEEDS_ORIGINAL, detail)
    if taken > original.left:
        return Rejection(Reason.EXCEEDS_ORIGINAL, f"only {original.left} of it is left to reverse")
    return None


def _post_reversal(
    event: Event,
    command: ReverseTransaction,
    books: Books,
    original: Original,
    taken: int,
    movements: list[Movement],
    now: datetime,
) -> Outcome:
    reverses = command.transaction.lower()
    outcome = post(event, command, books, movements, now, reverses=reverses)
    original.reversed += taken
    books.changes.reversals[event.tenant, reverses] = original
    return outcome


Decider = Callable[[Event, Any, Books, datetime], Outcome | Rejection]

_DECIDERS: dict[type, Decider] = {
    OpenAccount: _open_account,
    CloseAccount: _close_account,
    PostTransfer: _post_transfer,
    PostTransaction: _post_transaction,
    ReverseTransaction: _reverse,
    PlaceHold: place_hold,
    CaptureHold: capture_hold,
    VoidHold: void_hold,
    RequestPayment: request_payment,
}
