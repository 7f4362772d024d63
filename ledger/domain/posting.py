"""The decision: what one event does to the books, by a ladder of checks in the order of the closed list.

Every check that fails gives its refusal; after the last one the act must succeed.
An event sees what the events before it did, whether they came in its batch or in another.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from ledger.domain.account import Account, Balance, opened_account
from ledger.domain.books import Books, Rules
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    Event,
    OpenAccount,
    PlaceHold,
    PostTransaction,
    PostTransfer,
    ReverseTransaction,
    VoidHold,
)
from ledger.domain.holds import Hold
from ledger.domain.ids import milliseconds, time_ms_of
from ledger.domain.money import AMOUNT_MAX, in_range
from ledger.domain.outcome import HoldView, Outcome, rejected
from ledger.domain.rejection import Reason, Rejection
from ledger.domain.transaction import Entry, Original, Transaction, is_unbalanced, original_of

Movement = tuple[Balance, int]
"""A balance and the signed amount that moves it: + credits, − debits."""

T = TypeVar("T")


def decide(event: Event, books: Books, now: datetime, rules: Rules) -> Outcome:
    """Decide `event` against `books`, which then hold what it did; a refusal changes nothing."""
    if (rejection := _check_time(event.id, books.oldest_id, now, rules)) is not None:
        return rejected(event, rejection, now)
    result = _DECIDERS[type(event.command)](event, event.command, books, now)
    return rejected(event, result, now) if isinstance(result, Rejection) else result


def _check_time(event_id: str, oldest_id: str, now: datetime, rules: Rules) -> Rejection | None:
    if event_id < oldest_id:
        return Rejection(Reason.EVENT_TOO_OLD, "its id is older than those that are still known")
    age_ms = milliseconds(now) - time_ms_of(event_id)
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
    return _closed(account) or Outcome(event, "duplicate", now, detail="the account stands so already")


def _adopt(draft: Account, opened: Account) -> None:
    # Drafted balances point at the draft, so it takes the settings on rather than being replaced.
    draft.normal_side, draft.overdraft, draft.metadata = opened.normal_side, opened.overdraft, opened.metadata


def _close_account(event: Event, command: CloseAccount, books: Books, now: datetime) -> Outcome | Rejection:
    account = books.account(event.tenant, command.account)
    if not account.stands:
        return _not_found(account)
    if account.closed:
        return Rejection(Reason.ACCOUNT_CLOSED, f"account {account.code} is closed")
    for balance in books.balances_of(account):
        if balance.balance or balance.held:
            detail = f"account {account.code} still holds {balance.asset}"
            return Rejection(Reason.ACCOUNT_NOT_EMPTY, detail)
    books.close(account)
    return Outcome(event, "posted", now)


def _not_found(account: Account) -> Rejection:
    return Rejection(Reason.ACCOUNT_NOT_FOUND, f"account {account.code} was not opened")


def _closed(account: Account) -> Rejection | None:
    if account.closed:
        return Rejection(Reason.ACCOUNT_CLOSED, f"account {account.code} is closed")
    return None


# Transactions


def _post_transfer(event: Event, command: PostTransfer, books: Books, now: datetime) -> Outcome | Rejection:
    if command.debit == command.credit:
        return Rejection(Reason.SAME_ACCOUNT, f"debit and credit are both {command.debit}")
    if not in_range(command.amount):
        return _out_of_range()
    movements = _transfer(books, event.tenant, command, command.amount)
    return _check_movements(books, movements) or _post(event, command, books, movements, now)


def _transfer(books: Books, tenant: str, of: PostTransfer | PlaceHold | Hold, amount: int) -> list[Movement]:
    return [
        (books.balance(tenant, of.debit, of.asset), -amount),
        (books.balance(tenant, of.credit, of.asset), amount),
    ]


def _post_transaction(
    event: Event, command: PostTransaction, books: Books, now: datetime
) -> Outcome | Rejection:
    lines = command.entries
    if is_unbalanced((line.asset, line.amount) for line in lines):
        return Rejection(Reason.UNBALANCED, "the entries do not sum to zero for each asset")
    if len({line.account for line in lines}) == 1:
        return Rejection(Reason.SAME_ACCOUNT, f"every entry is on {lines[0].account}")
    if not all(in_range(abs(line.amount)) for line in lines):
        return _out_of_range()
    movements = [(books.balance(event.tenant, line.account, line.asset), line.amount) for line in lines]
    return _check_movements(books, movements) or _post(event, command, books, movements, now)


def _out_of_range() -> Rejection:
    return Rejection(Reason.AMOUNT_OUT_OF_RANGE, "an amount is 1 … 2^63-1 minor units")


def _check_movements(books: Books, movements: Sequence[Movement]) -> Rejection | None:
    return (
        _check_totals(movements)
        or _check_accounts(books, [balance for balance, _ in movements])
        or _check_funds(movements)
    )


def _check_totals(movements: Sequence[Movement]) -> Rejection | None:
    debited: dict[int, int] = {}
    credited: dict[int, int] = {}
    for balance, amount in movements:
        side, total = (debited, balance.posted_debits) if amount < 0 else (credited, balance.posted_credits)
        side[id(balance)] = grown = side.get(id(balance), total) + abs(amount)
        if grown > AMOUNT_MAX:
            return Rejection(
                Reason.AMOUNT_OUT_OF_RANGE, f"the totals of {balance.account.code} would pass 2^63-1"
            )
    return None


def _check_accounts(books: Books, balances: Sequence[Balance]) -> Rejection | None:
    for balance in balances:
        account = balance.account
        if not account.stands and not books.opens_by_itself(account.tenant):
            return _not_found(account)
    for balance in balances:
        if balance.account.closed:
            return _closed(balance.account)
    return None


def _check_funds(movements: Sequence[Movement]) -> Rejection | None:
    net: dict[int, int] = {}
    for balance, amount in movements:
        net[id(balance)] = net.get(id(balance), 0) + amount
    for balance, _ in movements:
        moved = net[id(balance)]
        loss = -moved if balance.account.normal_side == "credit" else moved
        if loss > 0 and not balance.can_lose(loss):
            return _insufficient(balance)
    return None


def _insufficient(balance: Balance) -> Rejection:
    return Rejection(
        Reason.INSUFFICIENT_FUNDS, f"account {balance.account.code} has too little {balance.asset} available"
    )


def _reverse(event: Event, command: ReverseTransaction, books: Books, now: datetime) -> Outcome | Rejection:
    original = books.originals.get((event.tenant, command.transaction.lower()))
    amount = command.amount
    if amount is not msgspec.UNSET and not in_range(amount):
        return _out_of_range()
    if original is None:
        return Rejection(Reason.TRANSACTION_NOT_FOUND, f"no transaction {command.transaction}")
    taken = original.left if amount is msgspec.UNSET else amount
    movements = [
        (books.balance(event.tenant, line.account, line.asset), line.amount)
        for line in original.opposite(taken)
    ]
    rejection = (
        _check_totals(movements)
        or _check_accounts(books, [balance for balance, _ in movements])
        or _check_left(original, taken, whole=amount is msgspec.UNSET)
        or _check_funds(movements)
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
    movements: Sequence[Movement],
    now: datetime,
) -> Outcome:
    reverses = command.transaction.lower()
    outcome = _post(event, command, books, movements, now, reverses=reverses)
    original.reversed += taken
    books.changes.reversals[event.tenant, reverses] = original
    return outcome


def _optional(command: Command, name: str) -> Any:
    value = getattr(command, name, msgspec.UNSET)
    return None if value is msgspec.UNSET else value


def _post(
    event: Event,
    command: Command,
    books: Books,
    movements: Sequence[Movement],
    now: datetime,
    reverses: str | None = None,
    captures: str | None = None,
) -> Outcome:
    """Post the movements, whatever the checks were: from here on nothing may be refused."""
    balances = tuple(balance for balance, _ in movements)
    posted_at = _posted_at(balances, now)
    transaction = Transaction(
        id=event.id,
        tenant=event.tenant,
        type=event.type,
        entries=tuple([_move(books, balance, amount, posted_at) for balance, amount in movements]),
        balances=balances,
        posted_at=posted_at,
        effective_at=_moment(command, "effective_at") or posted_at,
        reference=_optional(command, "reference"),
        metadata=_optional(command, "metadata"),
        reverses=reverses,
        captures=captures,
    )
    books.changes.transactions.append(transaction)
    if event.identity in books.watched:
        books.originals[event.identity] = original_of(transaction)
    return Outcome(
        event,
        "posted",
        posted_at,
        transaction=event.id,
        entries=transaction.entries,
        effective_at=transaction.effective_at,
    )


def _moment(command: Command, name: str) -> datetime | None:
    # In UTC from the start, so that what is read back from the books is written in the same way.
    moment: datetime | None = _optional(command, name)
    return None if moment is None else moment.astimezone(UTC)


def _posted_at(balances: Sequence[Balance], now: datetime) -> datetime:
    """Never go back inside an account: a clock that jumped back waits at the last time posted."""
    for balance in balances:
        if balance.last_posted_at is not None and balance.last_posted_at > now:
            now = balance.last_posted_at
    return now


def _move(books: Books, balance: Balance, amount: int, posted_at: datetime) -> Entry:
    books.touch(balance)
    balance.version += 1
    balance.last_posted_at = posted_at
    if amount < 0:
        balance.posted_debits -= amount
    else:
        balance.posted_credits += amount
    return Entry(
        balance.account.code,
        balance.asset,
        amount,
        balance.version,
        balance.balance,
        balance.posted_debits,
        balance.posted_credits,
        balance.account.normal_side,
    )


# Holds


def _place_hold(event: Event, command: PlaceHold, books: Books, now: datetime) -> Outcome | Rejection:
    if command.debit == command.credit:
        return Rejection(Reason.SAME_ACCOUNT, f"debit and credit are both {command.debit}")
    if not in_range(command.amount):
        return _out_of_range()
    debit, credit = (balance for balance, _ in _transfer(books, event.tenant, command, command.amount))
    if debit.held + command.amount > AMOUNT_MAX:
        return Rejection(Reason.AMOUNT_OUT_OF_RANGE, f"the holds on {command.debit} would pass 2^63-1")
    rejection = _check_accounts(books, [debit, credit])
    if rejection is not None:
        return rejection
    expires_at = _moment(command, "expires_at")
    if expires_at is not None and now >= expires_at:
        return Rejection(Reason.HOLD_EXPIRED, "expires_at has passed")
    if not debit.can_lose(command.amount):
        return _insufficient(debit)
    return _reserve(event, command, books, debit, expires_at, now)


def _reserve(
    event: Event, command: PlaceHold, books: Books, debit: Balance, expires_at: datetime | None, now: datetime
) -> Outcome:
    hold = Hold(
        id=event.id,
        tenant=event.tenant,
        debit=command.debit,
        credit=command.credit,
        asset=command.asset,
        amount=command.amount,
        left=command.amount,
        expires_at=expires_at,
        reference=_optional(command, "reference"),
        placed_at=now,
    )
    books.touch(debit)
    debit.held += command.amount
    books.place(hold)
    return Outcome(event, "posted", now, hold=view_of(hold))


def view_of(hold: Hold) -> HoldView:
    """Show a hold as it stands now."""
    return HoldView(hold.id, hold.state, hold.amount, hold.captured, hold.released, hold.left)


def _capture_hold(event: Event, command: CaptureHold, books: Books, now: datetime) -> Outcome | Rejection:
    if command.amount is not msgspec.UNSET and not in_range(command.amount):
        return _out_of_range()
    hold = books.holds.get((event.tenant, command.hold.lower()))
    if hold is None:
        return Rejection(Reason.HOLD_NOT_FOUND, f"no hold {command.hold}")
    amount = hold.left if command.amount is msgspec.UNSET else command.amount
    movements = _transfer(books, event.tenant, hold, amount)
    rejection = (
        _check_totals(movements)
        or _check_accounts(books, [balance for balance, _ in movements])
        or _check_hold(hold, amount, now)
        or _check_funds(movements[1:])
    )
    return rejection or _take(event, command, books, hold, amount, movements, now)


def _check_hold(hold: Hold, amount: int, now: datetime) -> Rejection | None:
    if hold.state in ("captured", "voided"):
        return Rejection(Reason.HOLD_CLOSED, f"the hold is {hold.state}")
    if hold.has_expired(now):
        return Rejection(Reason.HOLD_EXPIRED, f"the hold expired at {hold.expires_at}")
    if amount > hold.left:
        return Rejection(Reason.EXCEEDS_HOLD, f"only {hold.left} of the hold is left")
    return None


def _take(
    event: Event,
    command: CaptureHold,
    books: Books,
    hold: Hold,
    amount: int,
    movements: Sequence[Movement],
    now: datetime,
) -> Outcome:
    debit = movements[0][0]
    outcome = _post(event, command, books, movements, now, captures=hold.id)
    debit.held -= hold.take(amount, final=command.final)
    books.change_hold(hold)
    return msgspec.structs.replace(outcome, hold=view_of(hold))


def _void_hold(event: Event, command: VoidHold, books: Books, now: datetime) -> Outcome | Rejection:
    """Release what is left; a hold past its time may be voided, which is how expiry lets go of it."""
    hold = books.holds.get((event.tenant, command.hold.lower()))
    if hold is None:
        return Rejection(Reason.HOLD_NOT_FOUND, f"no hold {command.hold}")
    if hold.state in ("captured", "voided"):
        return Rejection(Reason.HOLD_CLOSED, f"the hold is {hold.state}")
    if hold.state == "expired":
        return Rejection(Reason.HOLD_EXPIRED, f"the hold expired at {hold.expires_at}")
    debit = books.balance(event.tenant, hold.debit, hold.asset)
    books.touch(debit)
    debit.held -= hold.void(now)
    books.change_hold(hold)
    return Outcome(event, "posted", now, hold=view_of(hold))


Decider = Callable[[Event, Any, Books, datetime], Outcome | Rejection]

_DECIDERS: dict[type, Decider] = {
    OpenAccount: _open_account,
    CloseAccount: _close_account,
    PostTransfer: _post_transfer,
    PostTransaction: _post_transaction,
    ReverseTransaction: _reverse,
    PlaceHold: _place_hold,
    CaptureHold: _capture_hold,
    VoidHold: _void_hold,
}
