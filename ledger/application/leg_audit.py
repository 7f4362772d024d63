"""Audit the legs of payments to other tenants: each is posted if its payment has settled, and only then."""

from collections.abc import Sequence

import msgspec

from ledger.application.legs import REVERSALS_MAX, LegIds
from ledger.domain.commands import TRANSIT_PREFIX
from ledger.domain.payments.saga import ChargeFact


class EndedPayment(msgspec.Struct, frozen=True):
    """A payment to another tenant that is at an end; `amount` is what the leg moves, in minor units."""

    tenant: str
    id: str
    target: str
    credit: str
    amount: int
    asset: str
    reference: str | None
    state: str
    charge: str


class StoredLeg(msgspec.Struct, frozen=True):
    """What the target's books have under the id of a leg."""

    type: str
    reference: str | None
    entries: Sequence[tuple[str, str, int]]
    """Account, asset and amount, in order."""
    taken_back: bool
    """Whether nothing of it is left."""
    reversals: Sequence[str]
    """The ids of its reversals."""


def fault_of(payment: EndedPayment, stored: StoredLeg | None, ids: LegIds) -> str | None:
    """Say what is wrong with the leg of a payment, if anything is.

    Content of another kind under its id is a leg that was refused. A receiver may take back a leg by hand; that is
    no fault, but a refund of ours is one where the payment has settled.
    """
    posted = stored is not None and _is_content(payment, stored)
    stands = posted and stored is not None and not stored.taken_back
    match payment.charge:
        case ChargeFact.CHARGED if not posted:
            return "payment has a charge, and its leg is not posted"
        case ChargeFact.CHARGED if stored is not None and _is_refunded(payment, stored, ids):
            return "payment has settled, and its leg was taken back"
        case ChargeFact.REFUNDED if stands:
            return "payment was refunded, and its leg was not taken back"
        case ChargeFact.NONE if stands:
            return "leg is posted, and its payment has ended without a charge"
    return None


def _is_content(payment: EndedPayment, stored: StoredLeg) -> bool:
    entries = [
        (TRANSIT_PREFIX + payment.tenant, payment.asset, -payment.amount),
        (payment.credit, payment.asset, payment.amount),
    ]
    asked = ("transfer.post.v1", payment.reference, entries)
    return asked == (stored.type, stored.reference, list(stored.entries))


def _is_refunded(payment: EndedPayment, stored: StoredLeg, ids: LegIds) -> bool:
    if not stored.reversals:
        return False
    ours = {ids.reversal(payment.tenant, payment.id, number) for number in range(REVERSALS_MAX)}
    return not ours.isdisjoint(stored.reversals)
