"""Advance payments: take those that are due, tell their sagas what happened, and do what they want done."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import orjson

from ledger.application.faults import LogAwayError, TransientFaultError
from ledger.application.payment_calls import Heard, ask, heard, not_called
from ledger.application.payment_ports import BooksSay, Payment, PaymentKey, PaymentLog, PaymentStore
from ledger.application.provider_lanes import LaneName, ProviderLanes
from ledger.application.providers import PaymentProvider, Unknown
from ledger.application.saga_mover import Moved, Outside, SagaMover
from ledger.contract.outgoing import record_key
from ledger.domain.payments.commands import AlertOperator, Call, Capture, Command, Release, WakeAt
from ledger.domain.payments.happenings import (
    CapturePosted,
    CaptureRefused,
    ChargeDeclined,
    Happening,
    ReleasePosted,
    ReleaseRefused,
    WokeUp,
)
from ledger.domain.payments.moves import IllegalMoveError
from ledger.domain.payments.rules import PaymentRules
from ledger.domain.payments.saga import State, Step
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals

SOURCE = "ledger/payments"
BOOKS: LaneName = ("", "")
"""The lane of payments that ask no provider now."""


class Mood(StrEnum):
    """How it stands with a provider."""

    UP = "up"
    TRIES = "tries"
    """It was away, and one payment at a time tries whether it has recovered."""
    WAITS = "waits"
    """Its breaker is open, and its tenant has payments wait."""
    DECLINES = "declines"
    """Its breaker is open, and its tenant has payments declined that it was not asked about."""


class Providers(Protocol):
    """The providers of all tenants."""

    async def find(self, tenant: str, name: str) -> PaymentProvider | None:
        """Give a provider, opened; None where the tenant has none of that name, or not one that can be called."""
        ...

    def mood(self, tenant: str, name: str) -> Mood:
        """Say how it stands with it; one that was not opened yet is up."""
        ...


class Pace(NamedTuple):
    """How payments are taken; in seconds."""

    lease_s: float
    """A payment that was taken, and not stored within this, is due again."""
    slot_wait_s: float
    """A call waits so long for one of its provider's slots; then it is put off."""


class Taken(NamedTuple):
    """What became of payments that were due."""

    begun: int
    put_off: int
    """Because their provider is busy or away: they are due again when the lease ends."""


class AdvancePayments:
    """Many workers may do so at once; what a dead one left is due when its lease or its wait ends."""

    def __init__(
        self,
        store: PaymentStore,
        mover: SagaMover,
        providers: Providers,
        log: PaymentLog,
        lanes: ProviderLanes,
        outside: Outside,
        rules: PaymentRules,
        signals: Signals,
        pace: Pace,
    ) -> None:
        self._store = store
        self._mover = mover
        self._providers = providers
        self._log = log
        self._lanes = lanes
        self._clock = outside.clock
        self._rules = rules
        self._signals = signals
        self._pace = pace

    @property
    def in_hand(self) -> int:
        """How many payments are worked on."""
        return self._lanes.busy

    async def take_due(self, limit: int) -> Taken:
        """Take what is due and begin work on it; raises TransientFaultError."""
        now = self._clock.now()
        due = await self._store.claim(now, now + timedelta(seconds=self._pace.lease_s), limit)
        said = await self._said(due)
        begun = sum(self._begin(payment, said.get(payment.key)) for payment in due)
        return Taken(begun, len(due) - begun)

    async def hear(self, keys: Sequence[PaymentKey]) -> int:
        """Look whether the books have said what these payments wait for; gives how many were moved by that.

        Raises TransientFaultError.
        """
        payments = await self._store.load(keys)
        said = await self._said(payments)
        heard = [self.tell(each, outcome_of(each, said[each.key])) for each in payments if each.key in said]
        return sum([moved is not None for moved in await asyncio.gather(*heard)])

    async def tell(self, payment: Payment, heard: Heard) -> Moved | None:
        """Store what happened to a payment, and begin to do what follows from it; raises TransientFaultError."""
        moved = await self._mover.move(payment, heard)
        if moved is not None and not all(isinstance(each, WakeAt) for each in moved.commands):
            self._lanes.begin(_lane_of(moved.payment), self._guarded(moved.payment, self._follow(moved)))
        return moved

    async def _said(self, payments: Iterable[Payment]) -> Mapping[PaymentKey, BooksSay]:
        """Read what the books say to those that wait for them; of an event that is waited for no more, nothing."""
        waiting = {each.key: each.saga.event_id for each in payments if each.saga.event_id is not None}
        said = await self._store.said(list(waiting)) if waiting else {}
        return {key: each for key, each in said.items() if waiting.get(key) == each.event_id}

    def _begin(self, payment: Payment, said: BooksSay | None) -> bool:
        lane = _lane_of(payment)
        heard = Heard(WokeUp()) if said is None else outcome_of(payment, said)
        if lane is not BOOKS and not self._ends_by_itself(payment):
            mood = self._providers.mood(*lane)
            if mood is Mood.DECLINES and payment.saga.state is State.FUNDS_HELD:
                heard, lane = _DECLINED, BOOKS
            elif not self._may_ask(lane, mood):
                return False
        self._lanes.begin(lane, self._guarded(payment, self._advance(payment, heard)))
        return True

    def _ends_by_itself(self, payment: Payment) -> bool:
        """Whether a payment that would charge is past its deadline, so that nobody is asked."""
        saga = payment.saga
        return (
            saga.step is Step.CHARGE
            and saga.awaiting is None
            and saga.unknown_since is None
            and self._clock.now() >= saga.deadline
        )

    def _may_ask(self, lane: LaneName, mood: Mood) -> bool:
        if mood is Mood.TRIES:
            return self._lanes.is_empty(lane)
        return mood is Mood.UP and self._lanes.takes(lane)

    async def _advance(self, payment: Payment, heard: Heard) -> None:
        moved = await self._mover.move(payment, heard)
        if moved is not None:
            await self._follow(moved)

    async def _follow(self, moved: Moved | None) -> None:
        while moved is not None:
            heard = await self._carried_out(moved.payment, moved.commands)
            moved = None if heard is None else await self._mover.move(moved.payment, heard)

    async def _carried_out(self, payment: Payment, commands: Sequence[Command]) -> Heard | None:
        heard: Heard | None = None
        for command in commands:
            match command:
                case AlertOperator():
                    self._alert(payment, command)
                case Capture() | Release():
                    await self._publish(payment, command)
                case WakeAt():
                    pass  # it was stored with the saga
                case _:
                    heard = await self._called(payment, command)
        return heard

    async def _called(self, payment: Payment, call: Call) -> Heard:
        tenant, name = payment.saga.tenant, payment.terms.provider
        provider = await self._providers.find(tenant, name)
        if provider is None:
            return not_called(call, f"there is no provider {name} that can be called")
        async with self._lanes.slot((tenant, name), self._pace.slot_wait_s) as free:
            if not free:
                return not_called(call, "no free slot")
            return await self._answered(provider, payment, call)

    async def _answered(self, provider: PaymentProvider, payment: Payment, call: Call) -> Heard:
        wanted_until = payment.saga.next_at or self._clock.now()
        left_s = (wanted_until - self._clock.now()).total_seconds()
        if left_s <= 0:
            return not_called(call, "too late to begin")
        crash_point("attempt_begun")
        try:
            async with asyncio.timeout(min(left_s, self._rules.answer_s)):
                answer = await ask(provider, payment, call)
        except TimeoutError:
            answer = Unknown("no answer in time")
        crash_point("provider_answered")
        return heard(answer, call)

    async def _publish(self, payment: Payment, command: Capture | Release) -> None:
        event = {
            "specversion": "1.0",
            "id": command.event_id,
            "source": SOURCE,
            "type": "hold.capture.v1" if isinstance(command, Capture) else "hold.void.v1",
            "tenant": payment.saga.tenant,
            "data": {"hold": payment.saga.id},
        }
        key = record_key(payment.saga.tenant, payment.terms.debit)
        await self._log.publish(key, orjson.dumps(event))
        crash_point("step_published")

    def _alert(self, payment: Payment, command: AlertOperator) -> None:
        self._signals.emit(
            "payment.alerted",
            tenant=payment.saga.tenant,
            payment=payment.saga.id,
            provider=payment.terms.provider,
            state=payment.saga.state.value,
            reason=command.reason,
        )

    async def _guarded(self, payment: Payment, work: Coroutine[Any, Any, None]) -> None:
        """Do work on one payment; where it cannot be done now, the payment is due again by itself."""
        try:
            await work
        except (TransientFaultError, LogAwayError, IllegalMoveError) as fault:
            self._signals.emit(
                "payment.not_advanced",
                tenant=payment.saga.tenant,
                payment=payment.saga.id,
                state=payment.saga.state.value,
                fault=str(fault),
            )


_DECLINED = Heard(ChargeDeclined("provider unavailable"), "its breaker is open; the provider was not asked")


def outcome_of(payment: Payment, said: BooksSay) -> Heard:
    """Say what the outcome of its capture or void means to a payment."""
    return Heard(_outcome(payment.saga.step, said), said.reason)


def _outcome(step: Step | None, said: BooksSay) -> Happening:
    if step is Step.CAPTURE:
        return CapturePosted() if said.posted else CaptureRefused(said.reason or "refused", said.hold)
    if said.posted:
        return ReleasePosted()
    return ReleaseRefused(said.event_id, said.reason or "refused", said.hold)


def _lane_of(payment: Payment) -> LaneName:
    saga = payment.saga
    if saga.step in (Step.CHARGE, Step.REFUND) and saga.state is not State.NEEDS_OPERATOR:
        return payment.saga.tenant, payment.terms.provider
    return BOOKS
