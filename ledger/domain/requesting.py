"""The decision about a payment: it is accepted with its funds held, or refused and there is no payment."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ledger.domain.account import Balance
from ledger.domain.books import Books, PaymentRequested
from ledger.domain.commands import Event, Fee, RequestPayment, credit_of
from ledger.domain.holding import check_held, reserve
from ledger.domain.holds import Guard
from ledger.domain.money import in_range
from ledger.domain.movements import check_accounts, insufficient, moment, optional, out_of_range
from ledger.domain.outcome import Outcome, PaymentView
from ledger.domain.payments.happenings import HoldPlaced
from ledger.domain.payments.machine import advance
from ledger.domain.payments.rules import Occasion
from ledger.domain.payments.saga import Saga, start
from ledger.domain.payments.terms import Terms
from ledger.domain.rejection import Reason, Rejection


def request_payment(
    event: Event, command: RequestPayment, books: Books, now: datetime
) -> Outcome | Rejection:
    fee = None if command.fee is msgspec.UNSET else command.fee
    rejection = _check_terms(command, fee)
    if rejection is not None:
        return rejection
    codes = [command.debit, credit_of(command), *([fee.account] if fee else [])]
    balances = [books.balance(event.tenant, code, command.asset) for code in codes]
    rejection = (
        check_held(balances[0], command.amount)
        or check_accounts(books, balances)
        or _check_provider(event, command, books)
        or _check_funds(balances[0], command.amount)
    )
    return rejection or _accept(event, command, fee, books, balances, now)


def _check_terms(command: RequestPayment, fee: Fee | None) -> Rejection | None:
    if command.debit == credit_of(command):
        return Rejection(Reason.SAME_ACCOUNT, f"debit and credit are both {command.debit}")
    if fee is not None and fee.account == command.debit:
        return Rejection(Reason.SAME_ACCOUNT, f"debit and the fee's account are both {command.debit}")
    if not in_range(command.amount):
        return out_of_range()
    if fee is not None and not 0 < fee.amount < command.amount:
        return Rejection(Reason.AMOUNT_OUT_OF_RANGE, "a fee is at least 1 and less than the amount")
    return None


def _check_provider(event: Event, command: RequestPayment, books: Books) -> Rejection | None:
    if (event.tenant, command.provider) not in books.providers:
        return Rejection(Reason.UNKNOWN_PROVIDER, f"no provider {command.provider}")
    return None


def _check_funds(debit: Balance, amount: int) -> Rejection | None:
    return None if debit.can_lose(amount) else insufficient(debit)


def _accept(
    event: Event,
    command: RequestPayment,
    fee: Fee | None,
    books: Books,
    balances: Sequence[Balance],
    now: datetime,
) -> Outcome:
    terms = _terms(command, fee)
    saga = _begin(event, moment(command, "deadline"), books, now)
    guard = Guard(terms.fee_account, terms.fee_amount)
    outcome = reserve(event, command, books, balances, now, guard=guard)
    books.changes.payments.append(PaymentRequested(terms, saga, now))
    return msgspec.structs.replace(outcome, payment=PaymentView(saga.id, saga.state))


def _terms(command: RequestPayment, fee: Fee | None) -> Terms:
    return Terms(
        debit=command.debit,
        credit=command.credit,
        amount=command.amount,
        asset=command.asset,
        provider=command.provider,
        fee_account=fee.account if fee else None,
        fee_amount=fee.amount if fee else 0,
        reference=optional(command, "reference"),
    )


def _begin(event: Event, deadline: datetime | None, books: Books, now: datetime) -> Saga:
    rules = books.payment_rules
    at = books.payments_begin or now
    saga = msgspec.structs.replace(
        start(event.id, tenant=event.tenant, now=at, deadline=deadline, rules=rules),
        correlation_id=event.correlation_id,
        traceparent=event.traceparent,
    )
    # Neither chance nor an id is used where a hold is placed.
    return advance(saga, HoldPlaced(), Occasion(at, 0.0, "", rules)).saga
