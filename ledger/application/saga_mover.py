"""Move sagas: what happened is fed to the machine, and what comes of it is stored with a line of the timeline."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from ledger.application.faults import TransientFaultError
from ledger.application.payment_calls import Heard
from ledger.application.payment_ports import Change, Line, Payment, PaymentKey, PaymentStore
from ledger.application.ports import Clock
from ledger.application.saga_writer import SagaWriter
from ledger.domain.payments.commands import (
    AlertOperator,
    Capture,
    Charge,
    Command,
    QueryCharge,
    QueryRefund,
    Refund,
    Release,
)
from ledger.domain.payments.happenings import ReleaseRefused, WokeUp, kind_of
from ledger.domain.payments.machine import advance
from ledger.domain.payments.rules import Occasion, PaymentRules
from ledger.domain.payments.saga import Saga
from ledger.domain.payments.steps import Advanced, Verdict
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals

MOVED_AGAIN_MAX = 10
"""So often somebody else may store a saga first, while a fact about it is to be stored."""
AWAY_TRIES = 8
AWAY_S = 0.1
"""How long the first wait is while the database is away; it doubles."""


class Outside(NamedTuple):
    """What moves take from outside."""

    clock: Clock
    chance: Callable[[], float]
    """Gives numbers in [0, 1)."""
    fresh_id: Callable[[str], str]
    """Makes an event id that nobody can guess, with the time of the payment's id in its time bits."""


class Moved(NamedTuple):
    """A payment as stored, and what is to be done now."""

    payment: Payment
    commands: tuple[Command, ...]
    verdict: Verdict


class SagaMover:
    """Nothing is done before it is stored; of two who move one payment at once, one begins anew."""

    def __init__(self, store: PaymentStore, outside: Outside, rules: PaymentRules, signals: Signals) -> None:
        self._store = store
        self._writer = SagaWriter(store)
        self._outside = outside
        self._rules = rules
        self._signals = signals

    async def move(self, payment: Payment, heard: Heard) -> Moved | None:
        """Store what becomes of a payment; None where that is nothing, or where somebody else was faster to wake it.

        Raises TransientFaultError where the database stays away.
        """
        current: Payment | None = payment
        for _ in range(MOVED_AGAIN_MAX):
            if current is None:
                return None
            advanced = self._advanced(current.saga, heard)
            if advanced.verdict is Verdict.ABSORBED and heard.attempt is None:
                return None
            # What contradicts is told before it is stored: from then on it is known, and never told again.
            is_told_once = advanced.verdict is Verdict.CONTRADICTION
            if is_told_once:
                self._alert(current, advanced)
            stored = await self._stored(current, advanced, heard)
            if stored is not None:
                if not is_told_once:
                    self._alert(stored, advanced)
                self._tell(current, stored, advanced, heard)
                return Moved(stored, advanced.commands, advanced.verdict)
            if isinstance(heard.happening, WokeUp):
                return None
            current = await self.find(payment.key)
        raise TransientFaultError(f"payment {payment.saga.id} is moved by others all the time")

    async def find(self, key: PaymentKey) -> Payment | None:
        """Read a payment as it is now."""
        return next(iter(await self._store.load([key])), None)

    def _advanced(self, saga: Saga, heard: Heard) -> Advanced:
        outside = self._outside
        on = Occasion(outside.clock.now(), outside.chance(), outside.fresh_id(saga.id), self._rules)
        return advance(saga, heard.happening, on)

    async def _stored(self, before: Payment, advanced: Advanced, heard: Heard) -> Payment | None:
        change = Change(
            before, advanced.saga, line_of(before.saga, advanced, heard, self._outside.clock.now())
        )
        for tried in range(AWAY_TRIES):
            try:
                stored = await self._writer.store(change)
            except TransientFaultError:
                # It may have been stored: then the next try finds another version, and the fact is known already.
                if tried + 1 == AWAY_TRIES or isinstance(heard.happening, WokeUp):
                    raise
                await asyncio.sleep(AWAY_S * 2**tried)
                continue
            crash_point("saga_stored")
            return stored
        raise TransientFaultError("no try was made")

    def _alert(self, payment: Payment, advanced: Advanced) -> None:
        for command in advanced.commands:
            if isinstance(command, AlertOperator):
                self._signals.emit(
                    "payment.alerted",
                    **payment.facts,
                    provider=payment.terms.provider,
                    state=advanced.saga.state.value,
                    reason=command.reason,
                )

    def _tell(self, before: Payment, after: Payment, advanced: Advanced, heard: Heard) -> None:
        self._signals.emit(
            "payment.moved",
            **after.facts,
            provider=after.terms.provider,
            before=before.saga.state.value,
            state=after.saga.state.value,
            happening=kind_of(heard.happening),
            verdict=advanced.verdict.value,
            age_s=(self._outside.clock.now() - after.created_at).total_seconds(),
        )


def line_of(before: Saga, advanced: Advanced, heard: Heard, at: datetime) -> Line:
    """Write down what happened and what is done about it."""
    begun = [each.attempt for each in advanced.commands if isinstance(each, _CALLS)]
    kinds = (str(each.__struct_config__.tag) for each in advanced.commands)
    return Line(
        at=at,
        happening=kind_of(heard.happening),
        verdict=advanced.verdict,
        state=advanced.saga.state,
        commands=tuple(kind for kind in kinds if kind != "wake_at"),
        attempt=begun[0] if begun else heard.attempt,
        begins=bool(begun),
        event_id=_event_of(before, advanced, heard),
        next_at=advanced.saga.next_at,
        detail=heard.detail,
        by=heard.by,
    )


_CALLS = Charge | QueryCharge | Refund | QueryRefund


def _event_of(before: Saga, advanced: Advanced, heard: Heard) -> str | None:
    """Name the event that is published, or else the one whose outcome was heard."""
    published = [each.event_id for each in advanced.commands if isinstance(each, Capture | Release)]
    if published:
        return published[0]
    if isinstance(heard.happening, ReleaseRefused):
        return heard.happening.event_id
    return before.event_id if kind_of(heard.happening) in _OUTCOMES else None


_OUTCOMES = {"capture_posted", "capture_refused", "release_posted"}
