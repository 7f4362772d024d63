"""A payment as it is first stored, with the request that was accepted."""

from ledger.application.payment_ports import Line, Payment
from ledger.domain.books import PaymentRequested
from ledger.domain.payments.steps import Verdict

REQUESTED = "requested"
FIRST_VERSION = 1


def payment_of(requested: PaymentRequested) -> Payment:
    return Payment(saga=requested.saga, terms=requested.terms, version=FIRST_VERSION, created_at=requested.at)


def first_line(payment: Payment) -> Line:
    """Write the line of its timeline that is stored with a payment."""
    saga = payment.saga
    return Line(
        at=payment.created_at,
        happening=REQUESTED,
        verdict=Verdict.MOVED,
        state=saga.state,
        next_at=saga.next_at,
    )
