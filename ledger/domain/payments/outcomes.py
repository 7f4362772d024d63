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
    return give_up(saga, on, ends_as=State.REFUNDED, reason=f"capture refused: {happening.reason}")


def freed(saga: Saga, happening: Any, on: Occasion) -> Advanced:
    return onward(replace(saga, hold=HoldFact.RELEASED), on)


def vacant(saga: Saga, happening: Happening, on: Occasion) -> Advanced:
    return known_if(saga.hold is HoldFact.RELEASED, saga, happening)


def unfreed(saga: Saga, happening: ReleaseRefused, on: Occasion) -> Advanced:
    """An id that was refused stays refused: the next void needs another."""
    if happening.event_id != saga.event_id:
        return absorbed(saga)
    return call_operator(replace(saga, event_id=None), on, f"void refused: {happening.reason}")
