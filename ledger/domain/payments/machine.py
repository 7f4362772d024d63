"""The machine: what becomes of a payment about each thing that happens."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from ledger.domain.payments import answers, outcomes, timing
from ledger.domain.payments.happenings import ChargeAccepted, ChargeDeclined, Decided, Happening, kind_of
from ledger.domain.payments.moves import check
from ledger.domain.payments.rules import Occasion
from ledger.domain.payments.saga import ChargeFact, Saga, State, Step
from ledger.domain.payments.steps import (
    FORMER,
    Advanced,
    Verdict,
    absorbed,
    contradicted,
    moved,
    onward,
    publish,
    to_be_woken,
)
from ledger.domain.payments.table import TABLE


def advance(saga: Saga, happening: Happening, on: Occasion) -> Advanced:
    """Say what becomes of a payment, and what to do once that is stored.

    The same happening may come again after a crash, and so may the commands be carried out again.
    Raises IllegalMoveError for a fault of the machine.
    """
    advanced = _rule(saga.state, happening)(saga, happening, on)
    check(saga, advanced.saga)
    return advanced


def _rule(state: State, happening: Happening) -> "Rule":
    return RULES[TABLE[state, kind_of(happening)]]


def _known(saga: Saga, happening: Happening, on: Occasion) -> Advanced:
    return absorbed(saga)


def _contradiction(saga: Saga, happening: Happening, on: Occasion) -> Advanced:
    return contradicted(saga, happening)


def _former(saga: Saga, happening: Happening, on: Occasion) -> Advanced:
    """A fact that comes while an operator is awaited counts as it did before."""
    return _rule(FORMER[saga.step], happening)(saga, happening, on)


# Decisions of operators


def _retried(saga: Saga, happening: Decided, on: Occasion) -> Advanced:
    """Begin to count anew. What is unknown is asked for first."""
    anew = replace(saga, tries=0, queries=0)
    if saga.unknown_since is not None:
        return to_be_woken(replace(anew, unknown_since=on.now), on)
    return to_be_woken(anew, on) if saga.step is Step.REFUND else publish(anew, on)


def _confirmed(saga: Saga, happening: Decided, on: Occasion) -> Advanced:
    """What an operator has seen counts as the answer of the provider."""
    return _as_before(saga, ChargeAccepted(happening.reference or ""), happening, on)


def _as_before(saga: Saga, fact: Happening, happening: Decided, on: Occasion) -> Advanced:
    """An operator's fact counts as it did before; if it contradicts what is known, they are told so each time."""
    found = _former(replace(saga, contradictions=()), fact, on)
    after = replace(found.saga, contradictions=saga.contradictions)
    if found.verdict is Verdict.CONTRADICTION and after == saga:
        return contradicted(saga, happening)
    return found._replace(saga=after)


def _denied_by_hand(saga: Saga, happening: Decided, on: Occasion) -> Advanced:
    if saga.step is Step.CAPTURE:
        return contradicted(saga, happening)
    if saga.charge is ChargeFact.NONE:
        return _as_before(saga, ChargeDeclined(f"not charged, says {happening.by}"), happening, on)
    returned = replace(saga, charge=ChargeFact.REFUNDED)
    return onward(returned, on) if saga.step is Step.REFUND else moved(returned)


def _closed_by_hand(saga: Saga, happening: Decided, on: Occasion) -> Advanced:
    if saga.step is not Step.RELEASE:
        return contradicted(saga, happening)
    return outcomes.freed(saga, happening, on)


Rule = Callable[[Saga, Any, Occasion], Advanced]

RULES: dict[str, Rule] = {
    ".": _known,
    "!": _contradiction,
    "former": _former,
    "placed": outcomes.placed,
    "refused": outcomes.refused,
    "held": outcomes.held,
    "unheld": outcomes.unheld,
    "accepted": answers.accepted,
    "same": answers.same,
    "noted": answers.noted,
    "late": answers.late,
    "declined": answers.declined,
    "denied": answers.denied,
    "repaid": answers.repaid,
    "returned": answers.returned,
    "unpaid": answers.unpaid,
    "in_doubt": answers.in_doubt,
    "postponed": answers.postponed,
    "missing": answers.missing,
    "settled": outcomes.settled,
    "unposted": outcomes.unposted,
    "freed": outcomes.freed,
    "vacant": outcomes.vacant,
    "unfreed": outcomes.unfreed,
    "overdue": timing.overdue,
    "began": timing.began,
    "went_on": timing.went_on,
    "resent": timing.resent,
    "reminded": timing.reminded,
    "retried": _retried,
    "confirmed": _confirmed,
    "denied_by_hand": _denied_by_hand,
    "closed_by_hand": _closed_by_hand,
}
"""The rule that each word of the table names."""
