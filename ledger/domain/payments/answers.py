"""The rules for what the provider says, and for what an operator says that it says."""

from datetime import timedelta

from msgspec.structs import replace

from ledger.domain.payments.commands import QueryCharge, QueryRefund
from ledger.domain.payments.happenings import (
    ChargeAccepted,
    ChargeDeclined,
    NotFound,
    Pending,
    RefundAccepted,
    RefundDeclined,
    RetryLater,
    Unknown,
    kind_of,
)
from ledger.domain.payments.rules import Occasion
from ledger.domain.payments.saga import ChargeFact, Saga, State
from ledger.domain.payments.steps import (
    Advanced,
    Verdict,
    absorbed,
    doubt,
    give_up,
    known_if,
    moved,
    onward,
    try_again,
)

# Certain answers about the charge


def accepted(saga: Saga, happening: ChargeAccepted, on: Occasion) -> Advanced:
    return onward(_with_charge(saga, happening), on)


def _with_charge(saga: Saga, happening: ChargeAccepted) -> Saga:
    return replace(
        saga,
        charge=ChargeFact.CHARGED,
        charge_reference=happening.reference,
        last_answer=kind_of(happening),
    )


def same(saga: Saga, happening: ChargeAccepted, on: Occasion) -> Advanced:
    """Another reference would be another charge."""
    return known_if(happening.reference == saga.charge_reference, saga, happening)


def noted(saga: Saga, happening: ChargeAccepted, on: Occasion) -> Advanced:
    """Too late to capture, a void is on its way: let that be posted, then refund."""
    if saga.charge is not ChargeFact.NONE:
        return same(saga, happening, on)
    noted = replace(_with_charge(saga, happening), ends_as=State.REFUNDED)
    return moved(noted, verdict=Verdict.CONTRADICTION)


def late(saga: Saga, happening: ChargeAccepted, on: Occasion) -> Advanced:
    """The provider has money for which nothing is held any more: give it back."""
    late = replace(_with_charge(saga, happening), ends_as=State.REFUNDED)
    return onward(late, on)._replace(verdict=Verdict.CONTRADICTION)


def declined(saga: Saga, happening: ChargeDeclined, on: Occasion) -> Advanced:
    heard = replace(saga, last_answer=kind_of(happening))
    return give_up(heard, on, ends_as=State.RELEASED, reason=happening.reason)


def denied(saga: Saga, happening: ChargeDeclined, on: Occasion) -> Advanced:
    return known_if(saga.charge is ChargeFact.NONE, saga, happening)


# Certain answers about the refund


def repaid(saga: Saga, happening: RefundAccepted, on: Occasion) -> Advanced:
    repaid = replace(
        saga,
        charge=ChargeFact.REFUNDED,
        refund_reference=happening.reference,
        last_answer=kind_of(happening),
    )
    return onward(repaid, on)


def returned(saga: Saga, happening: RefundAccepted, on: Occasion) -> Advanced:
    known = (None, happening.reference)
    returned = saga.charge is ChargeFact.REFUNDED and saga.refund_reference in known
    return known_if(returned, saga, happening)


def unpaid(saga: Saga, happening: RefundDeclined, on: Occasion) -> Advanced:
    """A refusal while no answer is awaited is one that was heard before."""
    if saga.awaiting is None and saga.unknown_since is None:
        return absorbed(saga)
    return try_again(replace(saga, last_answer=kind_of(happening)), on, happening.reason)


# Uncertain answers: those to any call but the last are of no use


def in_doubt(saga: Saga, happening: Unknown | Pending, on: Occasion) -> Advanced:
    if happening.of != saga.awaiting:
        return absorbed(saga)
    return doubt(replace(saga, last_answer=kind_of(happening)), on)


def postponed(saga: Saga, happening: RetryLater, on: Occasion) -> Advanced:
    if happening.of != saga.awaiting:
        return absorbed(saga)
    heard = replace(saga, last_answer=kind_of(happening))
    if isinstance(happening.of, QueryCharge | QueryRefund):
        return doubt(heard, on, happening.after_s)
    tried = heard if happening.counts else replace(heard, tries=heard.tries - 1)
    return try_again(tried, on, "provider unavailable", happening.after_s)


def missing(saga: Saga, happening: NotFound, on: Occasion) -> Advanced:
    if happening.of != saga.awaiting:
        return absorbed(saga)
    heard = replace(saga, last_answer=kind_of(happening))
    if _may_be_on_its_way(saga, on):
        return doubt(heard, on)
    return try_again(heard, on, "the provider knows nothing of it")


def _may_be_on_its_way(saga: Saga, on: Occasion) -> bool:
    """It counts when the question was sent: the answer may have been on its way for long."""
    if saga.sent_at is None or saga.unknown_since is None:
        return True
    return saga.sent_at - saga.unknown_since < timedelta(seconds=on.rules.not_found_grace_s)
