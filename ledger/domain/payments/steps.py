"""What a saga does: charge, ask, wait, capture, refund, release, end, call an operator."""

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ledger.domain.payments.commands import (
    AlertOperator,
    Capture,
    Charge,
    Command,
    QueryCharge,
    QueryRefund,
    Refund,
    Release,
    WakeAt,
)
from ledger.domain.payments.happenings import Decided, Happening, kind_of
from ledger.domain.payments.moves import IllegalMoveError
from ledger.domain.payments.rules import Occasion
from ledger.domain.payments.saga import ChargeFact, HoldFact, Saga, State, Step


class Verdict(StrEnum):
    """What became of a happening."""

    MOVED = "moved"
    """It was news, and changed the saga."""
    ABSORBED = "absorbed"
    """It was known, or is of no use any more."""
    CONTRADICTION = "contradiction"
    """It cannot be true together with what is known. Money is brought back where it can be; else a person is told."""


class Advanced(NamedTuple):
    """The saga as it is to be stored, and then what to do."""

    saga: Saga
    commands: tuple[Command, ...]
    verdict: Verdict


def moved(saga: Saga, *commands: Command, verdict: Verdict = Verdict.MOVED) -> Advanced:
    """Do something, and be woken in case nothing is heard of it."""
    wake = () if saga.next_at is None else (WakeAt(saga.next_at),)
    return Advanced(saga, (*commands, *wake), verdict)


def absorbed(saga: Saga) -> Advanced:
    """Do nothing; a timer that came too early is set again."""
    return moved(saga, verdict=Verdict.ABSORBED)


CONTRADICTIONS_MAX = 10
"""Of so many of a kind a person is told about one payment; whoever makes up more says nothing new by them."""


def contradicted(saga: Saga, happening: Happening) -> Advanced:
    """Change nothing, and tell a person; the same again is absorbed, but for what an operator says."""
    told, mark = saga.contradictions, _mark_of(happening)
    if not isinstance(happening, Decided):
        alike = [each for each in told if each.startswith(f"{kind_of(happening)} ")]
        if mark in told or len(alike) >= CONTRADICTIONS_MAX:
            return absorbed(saga)
        told = (*told, mark)
    alert = AlertOperator(f"{kind_of(happening)} while {saga.state}")
    return moved(replace(saga, contradictions=told), alert, verdict=Verdict.CONTRADICTION)


def _mark_of(happening: Happening) -> str:
    said = hashlib.blake2b(msgspec.json.encode(happening), digest_size=8)
    return f"{kind_of(happening)} {said.hexdigest()}"


def known_if(known: bool, saga: Saga, happening: Happening) -> Advanced:
    """Absorb what agrees with what is known; anything else contradicts it."""
    return absorbed(saga) if known else contradicted(saga, happening)


def onward(saga: Saga, on: Occasion) -> Advanced:
    """Do what follows from what is known of the hold and of the charge."""
    if saga.charge is ChargeFact.CHARGED:
        return publish(_begun(saga, Step.CAPTURE), on) if saga.ends_as is None else refund(saga, on)
    if saga.hold is HoldFact.OPEN:
        return publish(_begun(saga, Step.RELEASE), on)
    return end(saga)


def give_up(saga: Saga, on: Occasion, *, ends_as: State, reason: str) -> Advanced:
    """Undo what was done, because the payment will not settle."""
    return onward(replace(saga, ends_as=ends_as, reason=reason), on)


def end(saga: Saga) -> Advanced:
    """Stop: nothing is held, and nothing is with the provider, but for a payment that settled."""
    if saga.ends_as is None:
        raise IllegalMoveError(f"payment {saga.id} would end without an end")
    return moved(replace(_begun(saga, None), state=saga.ends_as, next_at=None))


def _begun(saga: Saga, step: Step | None) -> Saga:
    """Take up a step: nothing of the last one is counted or awaited any more."""
    return replace(
        saga,
        step=step,
        tries=0,
        queries=0,
        awaiting=None,
        sent_at=None,
        unknown_since=None,
        event_id=None,
        stuck=None,
    )


# The provider


def charge(saga: Saga, on: Occasion) -> Advanced:
    """Try to charge, unless it is too late to begin."""
    if on.now >= saga.deadline:
        return give_up(saga, on, ends_as=State.EXPIRED, reason="deadline passed")
    call = Charge(saga.key(Step.CHARGE), saga.attempts + 1)
    return _called(replace(saga, state=State.CHARGING, tries=saga.tries + 1), call, on)


def refund(saga: Saga, on: Occasion) -> Advanced:
    """Give the money back, as soon as the payment is woken for that."""
    return to_be_woken(_begun(saga, Step.REFUND), on)


def to_be_woken(saga: Saga, on: Occasion) -> Advanced:
    """Have the provider asked by whoever wakes the payment now: news never begin a call."""
    return _wait(replace(saga, state=FORMER[saga.step], stuck=None), on.now)


def refund_again(saga: Saga, on: Occasion) -> Advanced:
    """Try to give the money back."""
    call = Refund(saga.key(Step.REFUND), saga.attempts + 1)
    return _called(replace(saga, state=State.REFUNDING, tries=saga.tries + 1), call, on)


def ask(saga: Saga, on: Occasion) -> Advanced:
    """Ask what became of the last try."""
    refunding = saga.step is Step.REFUND
    query = QueryRefund if refunding else QueryCharge
    call = query(saga.key(Step.REFUND if refunding else Step.CHARGE), saga.attempts + 1)
    state = State.REFUNDING if refunding else State.CHARGING
    return _called(replace(saga, state=state, queries=saga.queries + 1), call, on)


def _called(saga: Saga, call: Charge | QueryCharge | Refund | QueryRefund, on: Occasion) -> Advanced:
    called = replace(
        saga,
        attempts=call.attempt,
        awaiting=call,
        sent_at=on.now,
        next_at=on.later(on.rules.answer_s),
        stuck=None,
    )
    return moved(called, call)


def doubt(saga: Saga, on: Occasion, after_s: float | None = None) -> Advanced:
    """Ask what became of the last try after a while, and not for ever; no deadline ends a doubt."""
    since = saga.unknown_since or on.now
    if on.now - since >= timedelta(seconds=on.rules.unknown_s_max):
        return call_operator(saga, on, f"{saga.step} unknown for too long")
    return _wait(replace(saga, unknown_since=since), on.backoff(saga.queries, after_s))


def try_again(saga: Saga, on: Occasion, why: str, after_s: float | None = None) -> Advanced:
    """Repeat a try that certainly did nothing, after a while and not for ever."""
    certain = replace(saga, unknown_since=None, queries=0)
    if saga.step is Step.REFUND:
        if saga.tries >= on.rules.refund_tries_max:
            return call_operator(certain, on, f"out of refund tries: {why}")
        return _wait(certain, on.backoff(saga.tries, after_s))
    if saga.tries >= on.rules.charge_tries_max:
        return give_up(certain, on, ends_as=State.RELEASED, reason=f"out of tries: {why}")
    return _wait(certain, min(on.backoff(saga.tries, after_s), max(saga.deadline, on.now)))


def _wait(saga: Saga, until: datetime) -> Advanced:
    return moved(replace(saga, awaiting=None, sent_at=None, next_at=until))


# The books


def publish(saga: Saga, on: Occasion) -> Advanced:
    """Publish the capture or void: the first time under a fresh id, then always under the same."""
    event_id = saga.event_id or on.fresh_id
    published = replace(
        saga,
        state=FORMER[saga.step],
        event_id=event_id,
        tries=saga.tries + 1,
        next_at=on.later(on.rules.outcome_s),
        stuck=None,
    )
    return moved(published, Capture(event_id) if saga.step is Step.CAPTURE else Release(event_id))


# Operators

FORMER: dict[Step | None, State] = {
    Step.CHARGE: State.CHARGING,
    Step.CAPTURE: State.CHARGED,
    Step.RELEASE: State.RELEASING,
    Step.REFUND: State.REFUNDING,
}
"""The state in which each step is done."""


def call_operator(saga: Saga, on: Occasion, stuck: str) -> Advanced:
    """Stop trying, say so, and say so again after a while."""
    waiting = replace(
        saga,
        state=State.NEEDS_OPERATOR,
        stuck=stuck,
        awaiting=None,
        sent_at=None,
        next_at=on.later(on.rules.alert_again_s),
    )
    return moved(waiting, AlertOperator(stuck))
