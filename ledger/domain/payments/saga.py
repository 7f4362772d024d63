"""The saga of one payment: all that must be known to go on after a crash."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from ledger.domain.payments.commands import Call
from ledger.domain.payments.rules import PaymentRules


class State(StrEnum):
    """Where a payment is."""

    REQUESTED = "requested"
    FUNDS_HELD = "funds_held"
    CHARGING = "charging"
    CHARGED = "charged"
    RELEASING = "releasing"
    REFUNDING = "refunding"
    NEEDS_OPERATOR = "needs_operator"
    SETTLED = "settled"
    DECLINED = "declined"
    RELEASED = "released"
    EXPIRED = "expired"
    REFUNDED = "refunded"

    @property
    def is_end(self) -> bool:
        """Whether nothing is left to do; only an answer that comes too late leads out of an end."""
        return self in _ENDS


_ENDS = {State.SETTLED, State.DECLINED, State.RELEASED, State.EXPIRED, State.REFUNDED}


class Step(StrEnum):
    """What a payment is about to do, is doing, or could not do."""

    HOLD = "hold"
    CHARGE = "charge"
    CAPTURE = "capture"
    RELEASE = "release"
    REFUND = "refund"


class HoldFact(StrEnum):
    """What is known of the hold."""

    NONE = "none"
    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"


class ChargeFact(StrEnum):
    """What is known to be with the provider; `none` while it is not known that it has the money."""

    NONE = "none"
    CHARGED = "charged"
    REFUNDED = "refunded"


class Saga(msgspec.Struct, frozen=True, kw_only=True):
    """One payment. Its id, unique in its tenant, is that of its request and of its hold; times in UTC."""

    id: str
    tenant: str
    deadline: datetime
    """No charge begins at or after it."""
    state: State = State.REQUESTED
    step: Step | None = Step.HOLD
    """None at an end."""
    hold: HoldFact = HoldFact.NONE
    charge: ChargeFact = ChargeFact.NONE
    ends_as: State | None = None
    """Where a payment that was given up will end; None while it is to settle."""
    next_at: datetime | None = None
    """When it must be woken; None at an end, and only there."""
    attempts: int = 0
    """Calls to the provider so far; they are numbered through."""
    tries: int = 0
    """How often this step was tried."""
    queries: int = 0
    """How often the provider was asked what became of the last try."""
    awaiting: Call | None = None
    """The call whose answer is still of use."""
    sent_at: datetime | None = None
    """When that call was given out."""
    unknown_since: datetime | None = None
    """Since when it is not known what became of the last try."""
    event_id: str | None = None
    """The capture or void that is to be posted."""
    charge_reference: str | None = None
    refund_reference: str | None = None
    last_answer: str | None = None
    """The kind of what was last heard from the provider about a call or its result."""
    reason: str | None = None
    """Why it will not settle."""
    stuck: str | None = None
    """Why it needs an operator."""
    contradictions: tuple[str, ...] = ()
    """Marks of those that a person was told of."""
    correlation_id: str | None = None
    """Of its request, as `traceparent`: for whatever it causes."""
    traceparent: str | None = None

    def key(self, step: Step) -> str:
        """Give the idempotency key of a step, for which a provider tells tenants apart."""
        return f"{self.tenant}:{self.id}:{step}"


def start(
    payment_id: str, *, tenant: str, now: datetime, deadline: datetime | None, rules: PaymentRules
) -> Saga:
    """Begin the saga of a request whose hold has not been decided; without a deadline, that of the rules counts."""
    return Saga(
        id=payment_id,
        tenant=tenant,
        deadline=now + timedelta(seconds=rules.deadline_s) if deadline is None else deadline,
        next_at=now + timedelta(seconds=rules.outcome_s),
    )
