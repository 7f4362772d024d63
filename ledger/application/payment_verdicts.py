"""What the books say of the event that a saga waits for: its own, or one that took up its id."""

from ledger.application.payment_ports import BooksSay
from ledger.contract.fingerprint import fingerprint_of
from ledger.domain.commands import CaptureHold, VoidHold
from ledger.domain.payments.saga import HoldFact, Step
from ledger.domain.rejection import Reason

HOLD_FACTS = {
    "open": HoldFact.OPEN,
    "captured": HoldFact.CAPTURED,
    "voided": HoldFact.RELEASED,
    "expired": HoldFact.RELEASED,
}
"""What the state of a hold is to a saga."""


def books_say(
    payment_id: str,
    *,
    publishes: str,
    step: str | None,
    fingerprint: bytes,
    kind: str,
    reason: str | None,
    hold: str,
) -> BooksSay:
    """Read the outcome of the event `publishes`; that of an event of other content is a refusal of the saga's."""
    if fingerprint not in _expected(payment_id, step):
        return BooksSay(publishes, False, Reason.EVENT_ID_REUSED, HOLD_FACTS[hold])
    return BooksSay(publishes, kind == "posted", reason, HOLD_FACTS[hold])


def _expected(payment_id: str, step: str | None) -> list[bytes]:
    """Give the fingerprints of what may be the saga's; one that has gone on has forgotten which it was."""
    capture = fingerprint_of("hold.capture.v1", CaptureHold(payment_id))
    void = fingerprint_of("hold.void.v1", VoidHold(payment_id))
    return {Step.CAPTURE.value: [capture], Step.RELEASE.value: [void]}.get(step or "", [capture, void])
