"""Advance payments: take those that are due, tell their sagas what happened, and do what they want done."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from time import perf_counter
from typing import Any, NamedTuple

import orjson

from ledger.application.faults import LogAwayError, TransientFaultError
from ledger.application.lane_rooms import LaneRooms, Mood, Providers
from ledger.application.payment_calls import Heard, ask, heard, not_called
from ledger.application.payment_lanes import ends_by_itself, lane_of
from ledger.application.payment_ports import (
    Answered,
    BooksSay,
    EventKey,
    LaneName,
    Payment,
    PaymentKey,
    PaymentLog,
    PaymentStore,
)
from ledger.application.ports import Clock
from ledger.application.provider_lanes import Place, ProviderLanes
from ledger.application.providers import AnyAnswer, PaymentProvider, Unknown, kind_of
from ledger.application.saga_mover import Moved, SagaMover
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
from ledger.observability.traceparent import CalledFrom, as_given

SOURCE = "ledger/payments"


class Pace(NamedTuple):
    """How payments are taken."""

    lease_s: float
    """A payment that was taken, and not stored within this, is due again."""
    claim_max: int
    """So many are taken at once."""
    in_hand_max: int
    """So many are worked on at a time, and no more are taken."""


class Taken(NamedTuple):
    """What became of payments that were due."""

    begun: int
    left: int
    """Their provider turned out to be busy or away: they are due again when the lease ends."""
    more: bool
    """As many were taken as may be at once: more may be due."""


class AdvancePayments:
    """Many workers may do so at once; what a dead one left is due when its lease or its wait ends."""

    def __init__(
        self,
        store: PaymentStore,
        mover: SagaMover,
        providers: Providers,
        log: PaymentLog,
        lanes: ProviderLanes,
        rooms: LaneRooms,
        clock: Clock,
        rules: PaymentRules,
        signals: Signals,
        pace: Pace,
        called_from: CalledFrom = as_given,
    ) -> None:
        self._store = store
        self._mover = mover
        self._providers = providers
        self._log = log
        self._lanes = lanes
        self._rooms = rooms
        self._clock = clock
        self._rules = rules
        self._signals = signals
        self._pace = pace
        self._called_from = called_from
        self._full = False
        self._wake: Callable[[], None] = lambda: None
        lanes.left, lanes.done = self._left, self._done

    def when_due(self, wake: Callable[[], None]) -> None:
        """Have `wake` called whenever `take_due` would find more: as soon as a payment is due, or there is room."""
        self._wake = wake

    async def take_due(self) -> Taken:
        """Take what is due and may begin, and begin work on it; raises TransientFaultError."""
        in_all = min(self._pace.claim_max, self._pace.in_hand_max - self._lanes.in_hand)
        self._full = in_all <= 0
        if self._full:
            return Taken(0, 0, more=False)
        now, room = self._clock.now(), self._rooms.room(in_all)
        due = await self._store.claim(now, now + timedelta(seconds=self._pace.lease_s), room)
        self._rooms.taken(room, (lane for each in due if (lane := self._asks(each))[1]))
        await self._open(due)
        said = await self._said(due)
        begun = sum(self._begin(said.get(each.key) or Answered(each, None)) for each in due)
        return Taken(begun, len(due) - begun, more=len(due) >= in_all)

    async def hear(self, keys: Sequence[PaymentKey], events: Sequence[EventKey] = ()) -> int:
        """Look whether the books have said what these payments, and those that wait for these events, wait for.

        Gives how many were moved by that. Raises TransientFaultError.
        """
        answered = await self._store.answered(keys, events)
        heard = await asyncio.gather(*(self._hear(each) for each in answered))
        away = next((each for each in heard if isinstance(each, TransientFaultError)), None)
        if away is not None:
            raise away
        return heard.count(True)

    async def _hear(self, answered: Answered) -> "bool | TransientFaultError":
        """Tell one payment: what is wrong with it keeps no other from being told."""
        try:
            return await self.tell(answered.payment, _heard(answered)) is not None
        except TransientFaultError as fault:
            return fault
        except (IllegalMoveError, ValueError) as fault:
            self._not_advanced(answered.payment, fault)
            return False

    async def tell(self, payment: Payment, heard: Heard) -> Moved | None:
        """Store what happened to a payment, and begin to do what follows from it; raises TransientFaultError."""
        moved = await self._moved(payment, heard)
        if moved is not None and not all(isinstance(each, WakeAt | AlertOperator) for each in moved.commands):
            self._lanes.begin(self._guarded(moved.payment, self._follow(moved)))
        return moved

    async def _open(self, due: Iterable[Payment]) -> None:
        """Open providers that were not asked yet: only then is it known how many calls they take."""
        lanes = {lane for each in due if (lane := self._asks(each))[1]} - self._providers.slots().keys()
        await asyncio.gather(*(self._providers.find(*lane) for lane in lanes))

    async def _said(self, due: Iterable[Payment]) -> Mapping[PaymentKey, Answered]:
        """Read what the books say to those that wait for them."""
        waiting = [each.key for each in due if each.saga.event_id is not None]
        answered = await self._store.answered(waiting) if waiting else []
        return {each.payment.key: each for each in answered}

    def _asks(self, payment: Payment) -> LaneName:
        """Name the lane that it needs a place in; where it needs none, the name of the provider is empty."""
        tenant, name = lane_of(payment)
        return tenant, "" if ends_by_itself(payment.saga, self._clock.now()) else name

    def _begin(self, answered: Answered) -> bool:
        payment, heard, place = answered.payment, _heard(answered), None
        lane = self._asks(payment)
        if lane[1] and self._is_declined(payment):
            heard = _DECLINED
        elif lane[1] and (place := self._rooms.place(lane)) is None:
            return False
        self._lanes.begin(self._guarded(payment, self._advance(payment, heard, place)), place)
        return True

    def _is_declined(self, payment: Payment) -> bool:
        mood = self._providers.mood(payment.saga.tenant, payment.terms.provider)
        return mood is Mood.DECLINES and payment.saga.state is State.FUNDS_HELD

    async def _advance(self, payment: Payment, heard: Heard, place: Place | None) -> None:
        moved = await self._moved(payment, heard)
        if moved is not None:
            await self._follow(moved, place)

    async def _follow(self, moved: Moved | None, place: Place | None = None) -> None:
        while moved is not None:
            heard = await self._carried_out(moved.payment, moved.commands)
            if place is not None:
                place.leave()
            moved = None if heard is None else await self._moved(moved.payment, heard)

    async def _moved(self, payment: Payment, heard: Heard) -> Moved | None:
        moved = await self._mover.move(payment, heard)
        if moved is not None:
            next_at = moved.payment.saga.next_at
            if next_at is not None and next_at <= self._clock.now():
                self._wake()
        return moved

    def _left(self, lane: LaneName) -> None:
        if self._rooms.wants(lane):
            self._wake()

    def _done(self) -> None:
        if self._full:
            self._full = False
            self._wake()

    async def _carried_out(self, payment: Payment, commands: Sequence[Command]) -> Heard | None:
        heard: Heard | None = None
        for command in commands:
            match command:
                case Capture() | Release():
                    await self._publish(payment, command)
                case WakeAt() | AlertOperator():
                    pass  # the one was stored with the saga, the other told
                case _:
                    heard = await self._called(payment, command)
        return heard

    async def _called(self, payment: Payment, call: Call) -> Heard:
        tenant, name = payment.saga.tenant, payment.terms.provider
        provider = await self._providers.find(tenant, name)
        if provider is None:
            return not_called(call, f"there is no provider {name} that can be called")
        return await self._answered(provider, payment, call)

    async def _answered(self, provider: PaymentProvider, payment: Payment, call: Call) -> Heard:
        wanted_until = payment.saga.next_at or self._clock.now()
        left_s = (wanted_until - self._clock.now()).total_seconds()
        if left_s <= 0:
            return not_called(call, "too late to begin")
        crash_point("attempt_begun")
        begun, traceparent = perf_counter(), self._called_from(payment.saga.traceparent)
        try:
            async with asyncio.timeout(min(left_s, self._rules.answer_s)):
                answer = await ask(provider, payment, call, traceparent)
        except TimeoutError:
            answer = Unknown("no answer in time")
        crash_point("provider_answered")
        self._tell_attempt(payment, call, answer, traceparent, perf_counter() - begun)
        return heard(answer, call)

    def _tell_attempt(
        self, payment: Payment, call: Call, answer: AnyAnswer, traceparent: str | None, seconds: float
    ) -> None:
        self._signals.emit(
            "attempt.answered",
            tenant=payment.saga.tenant,
            payment=payment.saga.id,
            provider=payment.terms.provider,
            call=call.__struct_config__.tag,
            attempt=call.attempt,
            retries=max(0, payment.saga.tries - 1),
            answer=kind_of(answer),
            seconds=seconds,
            correlation_id=payment.saga.correlation_id,
            traceparent=traceparent,
            parent=payment.saga.traceparent,
        )

    async def _publish(self, payment: Payment, command: Capture | Release) -> None:
        saga = payment.saga
        marks = {"correlationid": saga.correlation_id, "traceparent": saga.traceparent}
        event = {
            "specversion": "1.0",
            "id": command.event_id,
            "source": SOURCE,
            "type": "hold.capture.v1" if isinstance(command, Capture) else "hold.void.v1",
            "tenant": payment.saga.tenant,
            "data": {"hold": payment.saga.id},
            **{name: mark for name, mark in marks.items() if mark is not None},
        }
        key = record_key(payment.saga.tenant, payment.terms.debit)
        await self._log.publish(key, orjson.dumps(event))
        crash_point("step_published")

    async def _guarded(self, payment: Payment, work: Coroutine[Any, Any, None]) -> None:
        """Do work on one payment; where it cannot be done now, the payment is due again by itself."""
        try:
            await work
        except (TransientFaultError, LogAwayError, IllegalMoveError) as fault:
            self._not_advanced(payment, fault)

    def _not_advanced(self, payment: Payment, fault: Exception) -> None:
        self._signals.emit(
            "payment.not_advanced", **payment.facts, state=payment.saga.state.value, fault=str(fault)
        )


_DECLINED = Heard(ChargeDeclined("provider unavailable"), "its breaker is open; the provider was not asked")


def _heard(answered: Answered) -> Heard:
    """Say what the outcome of its capture or void means to a payment; without one, it is woken."""
    said = answered.said
    return Heard(WokeUp()) if said is None else Heard(_outcome(answered.payment.saga.step, said), said.reason)


def _outcome(step: Step | None, said: BooksSay) -> Happening:
    if step is Step.CAPTURE:
        return CapturePosted() if said.posted else CaptureRefused(said.reason or "refused", said.hold)
    if said.posted:
        return ReleasePosted()
    return ReleaseRefused(said.event_id, said.reason or "refused", said.hold)
