"""Payments: whether workers move them, which need an operator, and how their providers are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from streams.doctor.finding import Finding, Level, counted, fine, judged

Bounds = Mapping[int, tuple[int, int]]

NOBODY = "No worker is at work, and funds stay held: start `ledger worker advance-payments`."
SLOW = "Look at the logs of the payments workers, or start more of them."
STUCK = "`ledger payments list` shows them, and `ledger payments show` why."
AWAY = "Payments wait for it and go on by themselves; `ledger provider check` asks it."
UNSET = "Payments wait for it up to their deadline: `ledger provider set` sets it, `ledger provider check` tells more."
SEALED = (
    "Set LEDGER_SEALING_KEYS to the keys of the workers, or give the secrets again: `ledger provider set`."
)


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """What the books say of payments that are not at an end, and of providers, each named TENANT/NAME."""

    payments: int = 0
    stuck: int = 0
    overdue: int = 0
    providers: Sequence[str] = ()
    down: Sequence[str] = ()
    """Those whose breaker is closed at no worker that asks them."""
    uncallable: Sequence[str] = ()
    """Those that have payments, and are not there or cannot be called as they are set."""
    closed_seals: Sequence[str] = ()
    """Those whose secrets do not open with the keys that are set; empty where none are."""


@dataclass(frozen=True, slots=True)
class PaymentWorkers:
    """Their group on the topic of outcomes."""

    committed: Mapping[int, int]
    members: int
    outcomes: Bounds


def payments_findings(facts: PaymentFacts, workers: PaymentWorkers) -> Iterator[Finding]:
    """Judge them."""
    yield _moving(facts, workers)
    if facts.stuck:
        yield judged("operator", f"{counted(facts.stuck, 'payment')} cannot go on without one", warning=STUCK)
    if facts.providers or facts.uncallable:
        yield _providers(facts)


def _moving(facts: PaymentFacts, workers: PaymentWorkers) -> Finding:
    if not facts.payments and not workers.members:
        return Finding("payments", Level.INFORMATION, "none is under way, and no payments worker is at work")
    waiting = sum(
        max(0, end - workers.committed.get(partition, first))
        for partition, (first, end) in workers.outcomes.items()
    )
    detail = (
        f"{facts.payments:,} under way, {facts.overdue:,} of them due for more than a minute; "
        f"{waiting:,} outcomes wait; {counted(workers.members, 'worker')} at work"
    )
    slow = SLOW if facts.overdue and not facts.down and not facts.uncallable else ""
    return judged("payments", detail, wrong="" if workers.members else NOBODY, warning=slow)


def _providers(facts: PaymentFacts) -> Finding:
    if facts.closed_seals:
        sealed = f"secrets that do not open: {', '.join(facts.closed_seals)}"
        return judged("providers", sealed, wrong=SEALED)
    if facts.uncallable:
        return judged("providers", f"cannot be called: {', '.join(facts.uncallable)}", wrong=UNSET)
    if facts.down:
        return judged("providers", f"breaker open: {', '.join(facts.down)}", warning=AWAY)
    return fine("providers", counted(len(facts.providers), "provider"))
