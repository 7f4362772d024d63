"""The rules for what the books say: outcomes of the request, of captures and of voids."""

from typing import Any

from msgspec.structs import replace

from ledger.domain.payments.happenings import CaptureRefused, Happening, HoldRefused, ReleaseRefused
from ledger.domain.payments.rules import Occasion
from ledger.domain.payments.saga import HoldFact, Saga, State, Step
from ledger.domain.payments.steps import (
    Advanced,
    absorbed,
    call_operator,
    end,
    give_up,
    known_if,
    moved,
    onward,
)

# The hold


def placed(saga: Saga, happening: Any, on: Occasion) -> Advanced:
    held = replace(saga, state=State.FUNDS_HELD, step=Step.CHARGE, hold=HoldFact.OPEN, next_at=on.now)
    return moved(held)


def refused(saga: Saga, happening: HoldRefused, on: Occasion) -> Advanced:
    return end(replace(saga, ends_as=State.DECLINED, reason=happening.reason))


def held(saga: Saga, happening: Happening, on: Occasion) -> Advanced:
    return known_if(saga.hold is not HoldFact.NONE, saga, happening)


def unheld(saga: Saga, happening: Happening, on: Occasion) -> Advanced:
    return known_if(saga.hold is HoldFact.NONE, saga, happening)


# Outcomes of the books


def settled(saga: Saga, happening: Any, on: Occasion) -> Advanced:
    return end(replace(saga, hold=HoldFact.CAPTURED, ends_as=State.SETTLED))


def unposted(saga: Saga, happening: CaptureRefused, on: Occasion) -> Advanced:
    """Give the money back, unless an earlier capture, which a fail-over forgot, has closed the hold."""
    if happening.hold is HoldFact.CAPTURED:
        return settled(saga, happening, on)
    reason = f"capture refused: {happening.reason}"
    return give_up(replace(saga, hold=happening.hold), on, ends_as=State.REFUNDED, reason=reason)


def freed(saga: Saga, happening: Any, on: Occasion) -> Advanced:
    return onward(replace(saga, hold=HoldFact.RELEASED), on)


def vacant(saga: Saga, happening: Happening, on: Occasion) -> Advanced:
    return known_if(saga.hold is HoldFact.RELEASED, saga, happening)


def unfreed(saga: Saga, happening: ReleaseRefused, on: Occasion) -> Advanced:
    """An id that was refused stays refused: the next void takes another."""
    if happening.event_id != saga.event_id:
        return absorbed(saga)
    if happening.hold is HoldFact.RELEASED:
        return freed(saga, happening, on)
    refused = replace(saga, event_id=None, next_at=on.later(on.rules.outcome_s))
    if happening.hold is HoldFact.CAPTURED or saga.tries >= on.rules.publish_tries_max:
        return call_operator(refused, on, f"void refused: {happening.reason}")
    return moved(refused)
