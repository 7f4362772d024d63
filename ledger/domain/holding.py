"""Decisions about holds: placing, capturing and voiding them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ledger.domain.account import Balance
from ledger.domain.books import Books
from ledger.domain.commands import (
    TRANSIT_PREFIX,
    CaptureHold,
    Event,
    PlaceHold,
    RequestPayment,
    VoidHold,
    credit_of,
)
from ledger.domain.holds import Guard, Hold
from ledger.domain.money import AMOUNT_MAX, in_range
from ledger.domain.movements import (
    Movement,
    check_accounts,
    check_funds,
    check_totals,
    insufficient,
    moment,
    optional,
    out_of_range,
    post,
    time_of_posting,
    transfer,
)
from ledger.domain.outcome import HoldView, Outcome
from ledger.domain.payments.saga import Step
from ledger.domain.rejection import Reason, Rejection


def place_hold(event: Event, command: PlaceHold, books: Books, now: datetime) -> Outcome | Rejection:
    if command.debit == command.credit:
        return Rejection(Reason.SAME_ACCOUNT, f"debit and credit are both {command.debit}")
    if not in_range(command.amount):
        return out_of_range()
    debit, credit = (balance for balance, _ in transfer(books, event.tenant, command, command.amount))
    rejection = check_held(debit, command.amount) or check_accounts(books, [debit, credit])
    if rejection is not None:
        return rejection
    expires_at = moment(command, "expires_at")
    if expires_at is not None and now >= expires_at:
        return Rejection(Reason.HOLD_EXPIRED, "expires_at has passed")
    if not debit.can_lose(command.amount):
        return insufficient(debit)
    return reserve(event, command, books, [debit, credit], now, expires_at=expires_at)


def check_held(debit: Balance, amount: int) -> Rejection | None:
    if debit.held + amount > AMOUNT_MAX:
        detail = f"the holds on {debit.account.code} would pass 2^63-1"
        return Rejection(Reason.AMOUNT_OUT_OF_RANGE, detail)
    return None


def reserve(
    event: Event,
    command: PlaceHold | RequestPayment,
    books: Books,
    balances: Sequence[Balance],
    now: datetime,
    *,
    expires_at: datetime | None = None,
    guard: Guard | None = None,
) -> Outcome:
    """Place the hold, whatever the checks were: from here on nothing may be refused.

    `balances` are those that its capture moves, the one it reserves from first. All their accounts stand from now
    on: two workers meet at the row of an account, and not at its absence. But that of another tenant waits until
    something is posted to it: who opens it agrees to be paid, and a payment that was declined decides nothing of that.
    """
    hold = Hold(
        id=event.id,
        tenant=event.tenant,
        debit=command.debit,
        credit=credit_of(command),
        asset=command.asset,
        amount=command.amount,
        left=command.amount,
        expires_at=expires_at,
        reference=optional(command, "reference"),
        placed_at=now,
        guard=guard,
    )
    books.touch(balances[0])
    balances[0].held += command.amount
    for account in (each.account for each in balances):
        if not account.stands and not account.code.startswith(TRANSIT_PREFIX):
            books.open(account)
    books.place(hold)
    return Outcome(event, "posted", now, hold=view_of(hold))


def view_of(hold: Hold) -> HoldView:
    """Show a hold as it stands now."""
    return HoldView(hold.id, hold.state, hold.amount, hold.captured, hold.released, hold.left)


def is_awaited(event: Event, books: Books) -> bool:
    """Tell whether the saga of a payment waits for this very event, which is then never too old.

    Its id has the time of the payment's, which may be past the horizon. A repeat of it that nobody remembers is
    refused all the same, because the hold is closed, or because the saga waits for it no more.
    """
    command = event.command
    if not isinstance(command, CaptureHold | VoidHold):
        return False
    hold = books.holds.get((event.tenant, command.hold.lower()))
    step = Step.CAPTURE if isinstance(command, CaptureHold) else Step.RELEASE
    return hold is not None and hold.guard is not None and hold.guard.lets(event.id, step)


def capture_hold(event: Event, command: CaptureHold, books: Books, now: datetime) -> Outcome | Rejection:
    if command.amount is not msgspec.UNSET and not in_range(command.amount):
        return out_of_range()
    hold = _find(event, command.hold, books, Step.CAPTURE, whole=_is_whole(command))
    if hold is None:
        return _not_found(command.hold)
    amount = hold.left if command.amount is msgspec.UNSET else command.amount
    movements = _captured(books, hold, amount)
    balances = [balance for balance, _ in movements]
    rejection = (
        check_totals(movements)
        or check_accounts(books, balances)
        # What is posted may be dated later than now, and no capture is dated after its hold's end.
        or _check_hold(hold, amount, time_of_posting(balances, now))
        or check_funds(movements[1:])
    )
    return rejection or _take(event, command, books, hold, amount, movements, now)


def _is_whole(command: CaptureHold) -> bool:
    return command.final and command.amount is msgspec.UNSET


def _find(event: Event, hold_id: str, books: Books, step: Step, *, whole: bool = True) -> Hold | None:
    """Find a hold; one of a payment is there for nobody but its saga, which takes or leaves the whole of it."""
    hold = books.holds.get((event.tenant, hold_id.lower()))
    if hold is None or hold.guard is None:
        return hold
    return hold if whole and hold.guard.lets(event.id, step) else None


def _not_found(hold_id: str) -> Rejection:
    return Rejection(Reason.HOLD_NOT_FOUND, f"no hold {hold_id}")


def _captured(books: Books, hold: Hold, amount: int) -> list[Movement]:
    """Say what a capture moves; the fee of a payment is a part of what comes in."""
    debit, credit = transfer(books, hold.tenant, hold, amount)
    if hold.guard is None or hold.guard.fee_account is None or not amount:
        return [debit, credit]
    fee = hold.guard.fee_amount
    return [
        debit,
        (credit[0], amount - fee),
        (books.balance(hold.tenant, hold.guard.fee_account, hold.asset), fee),
    ]


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
    outcome = post(event, command, books, movements, now, captures=hold.id)
    debit.held -= hold.take(amount, final=command.final)
    books.change_hold(hold)
    return msgspec.structs.replace(outcome, hold=view_of(hold))


def void_hold(event: Event, command: VoidHold, books: Books, now: datetime) -> Outcome | Rejection:
    """Release what is left; a hold past its time may be voided, which is how expiry lets go of it."""
    hold = _find(event, command.hold, books, Step.RELEASE)
    if hold is None:
        return _not_found(command.hold)
    if hold.state in ("captured", "voided"):
        return Rejection(Reason.HOLD_CLOSED, f"the hold is {hold.state}")
    if hold.state == "expired":
        return Rejection(Reason.HOLD_EXPIRED, f"the hold expired at {hold.expires_at}")
    debit = books.balance(event.tenant, hold.debit, hold.asset)
    books.touch(debit)
    debit.held -= hold.void(now)
    books.change_hold(hold)
    return Outcome(event, "posted", now, hold=view_of(hold))
