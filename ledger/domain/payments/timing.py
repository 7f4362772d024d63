"""The rules for time: what is done when a payment is woken."""

from typing import Any

from msgspec.structs import replace

from ledger.domain.payments.commands import AlertOperator
from ledger.domain.payments.rules import Occasion
from ledger.domain.payments.saga import Saga, Step
from ledger.domain.payments.steps import (
    Advanced,
    absorbed,
    ask,
    call_operator,
    charge,
    doubt,
    moved,
    publish,
    refund_again,
)


def _is_early(saga: Saga, on: Occasion) -> bool:
    return saga.next_at is not None and on.now < saga.next_at


def overdue(saga: Saga, happening: Any, on: Occasion) -> Advanced:
    """The outcome of the hold comes with the request itself; a person is told if it never does."""
    if _is_early(saga, on):
        return absorbed(saga)
    alerts = [AlertOperator("no outcome of the hold")] if on.now >= saga.deadline else []
    return moved(replace(saga, next_at=on.later(on.rules.outcome_s)), *alerts)


def began(saga: Saga, happening: Any, on: Occasion) -> Advanced:
    return absorbed(saga) if _is_early(saga, on) else charge(saga, on)


def went_on(saga: Saga, happening: Any, on: Occasion) -> Advanced:
    if _is_early(saga, on):
        return absorbed(saga)
    if saga.awaiting is not None:
        return doubt(saga, on)
    if saga.unknown_since is not None:
        return ask(saga, on)
    return refund_again(saga, on) if saga.step is Step.REFUND else charge(saga, on)


def resent(saga: Saga, happening: Any, on: Occasion) -> Advanced:
    if _is_early(saga, on):
        return absorbed(saga)
    if saga.tries >= on.rules.publish_tries_max:
        return call_operator(saga, on, f"no outcome of the {saga.step}")
    return publish(saga, on)


def reminded(saga: Saga, happening: Any, on: Occasion) -> Advanced:
    return absorbed(saga) if _is_early(saga, on) else call_operator(saga, on, saga.stuck or "")
