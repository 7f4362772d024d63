"""Which lane a payment is in, and which payments need none."""

from datetime import datetime

from ledger.application.payment_ports import LaneName, Payment
from ledger.domain.payments.saga import Saga, State, Step


def lane_of(payment: Payment) -> LaneName:
    """Name the lane of the provider that a payment asks next; one that asks none is in its tenant's other lane."""
    saga = payment.saga
    asks = saga.step in (Step.CHARGE, Step.REFUND) and saga.state is not State.NEEDS_OPERATOR
    return saga.tenant, payment.terms.provider if asks else ""


def ends_at(saga: Saga) -> datetime | None:
    """Say when a payment ends though its provider is not asked; None where it is not about to begin a charge."""
    begins = saga.step is Step.CHARGE and saga.state is not State.NEEDS_OPERATOR
    return saga.deadline if begins and saga.awaiting is None and saga.unknown_since is None else None


def ends_by_itself(saga: Saga, now: datetime) -> bool:
    """Whether a payment that would begin a charge is past its deadline, so that nobody is asked."""
    end = ends_at(saga)
    return end is not None and now >= end
