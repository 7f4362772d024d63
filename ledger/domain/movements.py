"""Movements: what an event does to balances, the checks that they must pass, and their posting."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ledger.domain.account import Account, Balance
from ledger.domain.books import Books
from ledger.domain.commands import Command, Event, PlaceHold, PostTransfer
from ledger.domain.holds import Hold
from ledger.domain.money import AMOUNT_MAX
from ledger.domain.outcome import Outcome
from ledger.domain.rejection import Reason, Rejection
from ledger.domain.transaction import Entry, Transaction, original_of

Movement = tuple[Balance, int]
"""A balance and the signed amount that moves it: + credits, − debits."""


def not_found(account: Account) -> Rejection:
    return Rejection(Reason.ACCOUNT_NOT_FOUND, f"account {account.code} was not opened")


def closed(account: Account) -> Rejection | None:
    if account.closed:
        return Rejection(Reason.ACCOUNT_CLOSED, f"account {account.code} is closed")
    return None


def transfer(books: Books, tenant: str, of: PostTransfer | PlaceHold | Hold, amount: int) -> list[Movement]:
    return [
        (books.balance(tenant, of.debit, of.asset), -amount),
        (books.balance(tenant, of.credit, of.asset), amount),
    ]


def out_of_range() -> Rejection:
    return Rejection(Reason.AMOUNT_OUT_OF_RANGE, "an amount is 1 … 2^63-1 minor units")


def check_movements(books: Books, movements: Sequence[Movement]) -> Rejection | None:
    if _pass_clearly(movements):
        return None
    return (
        check_totals(movements)
        or check_accounts(books, [balance for balance, _ in movements])
        or check_funds(movements)
    )


def _pass_clearly(movements: Sequence[Movement]) -> bool:
    """Tell at a first look whether every check lets these pass; of those of which it cannot, the checks tell.

    Most are such: two balances of accounts that stand open, far from the limit of totals, with what they lose.
    """
    if len(movements) != 2 or movements[0][0] is movements[1][0]:
        return False
    for balance, amount in movements:
        account = balance.account
        if account.closed or not account.stands:
            return False
        if amount < 0:
            total, is_loss = balance.posted_debits - amount, account.normal_side == "credit"
        else:
            total, is_loss = balance.posted_credits + amount, account.normal_side == "debit"
        if total > AMOUNT_MAX or (is_loss and not balance.can_lose(abs(amount))):
            return False
    return True


def check_totals(movements: Sequence[Movement]) -> Rejection | None:
    if _are_far_from_limit(movements):
        return None
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


def _are_far_from_limit(movements: Sequence[Movement]) -> bool:
    """Tell whether no total can pass the limit, even if all of the movements were of one balance."""
    share = AMOUNT_MAX // len(movements)
    for balance, amount in movements:
        if (balance.posted_debits - amount if amount < 0 else balance.posted_credits + amount) > share:
            return False
    return True


def check_accounts(books: Books, balances: Sequence[Balance]) -> Rejection | None:
    for balance in balances:
        account = balance.account
        if not account.stands and not books.opens_by_itself(account.tenant):
            return not_found(account)
    for balance in balances:
        if balance.account.closed:
            return closed(balance.account)
    return None


def check_funds(movements: Sequence[Movement]) -> Rejection | None:
    for balance, moved in _net(movements):
        loss = -moved if balance.account.normal_side == "credit" else moved
        if loss > 0 and not balance.can_lose(loss):
            return insufficient(balance)
    return None


def _net(movements: Sequence[Movement]) -> Sequence[Movement]:
    """Sum up what moves each balance; in most transactions each is moved once."""
    if len(movements) == 1 or (len(movements) == 2 and movements[0][0] is not movements[1][0]):
        return movements
    net: dict[int, Movement] = {}
    for balance, amount in movements:
        net[id(balance)] = (balance, net.get(id(balance), (balance, 0))[1] + amount)
    return list(net.values())


def insufficient(balance: Balance) -> Rejection:
    return Rejection(
        Reason.INSUFFICIENT_FUNDS, f"account {balance.account.code} has too little {balance.asset} available"
    )


def optional(command: Command, name: str) -> Any:
    value = getattr(command, name, msgspec.UNSET)
    return None if value is msgspec.UNSET else value


def post(
    event: Event,
    command: Command,
    books: Books,
    movements: Sequence[Movement],
    now: datetime,
    reverses: str | None = None,
    captures: str | None = None,
) -> Outcome:
    """Post the movements, whatever the checks were: from here on nothing may be refused."""
    balances = tuple([balance for balance, _ in movements])
    posted_at = time_of_posting(balances, now)
    transaction = Transaction(
        id=event.id,
        tenant=event.tenant,
        type=event.type,
        entries=tuple([_move(books, balance, amount, posted_at) for balance, amount in movements]),
        balances=balances,
        posted_at=posted_at,
        effective_at=moment(command, "effective_at") or posted_at,
        reference=optional(command, "reference"),
        metadata=optional(command, "metadata"),
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


def moment(command: Command, name: str) -> datetime | None:
    # In UTC from the start, so that what is read back from the books is written in the same way.
    moment: datetime | None = optional(command, name)
    return None if moment is None else moment.astimezone(UTC)


def time_of_posting(balances: Iterable[Balance], now: datetime) -> datetime:
    """Never go back inside an account: a clock that jumped back waits at the last time posted."""
    for balance in balances:
        if balance.last_posted_at is not None and balance.last_posted_at > now:
            now = balance.last_posted_at
    return now


def _move(books: Books, balance: Balance, amount: int, posted_at: datetime) -> Entry:
    if not balance.changed:
        books.touch(balance)
    balance.version += 1
    balance.last_posted_at = posted_at
    if amount < 0:
        balance.posted_debits -= amount
    else:
        balance.posted_credits += amount
    account = balance.account
    return Entry(
        account.code,
        balance.asset,
        amount,
        balance.version,
        balance.balance,
        balance.posted_debits,
        balance.posted_credits,
        account.normal_side,
    )
