"""A stage for the advancing of payments: a store, books and a provider in memory, and workers that can be cut off."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from ledger.adapters.memory.payments import with_room
from ledger.adapters.memory.provider import MemoryProvider
from ledger.application.advance_payments import AdvancePayments, Pace
from ledger.application.lane_rooms import LaneRooms, Mood
from ledger.application.payment_ports import (
    Answered,
    BooksSay,
    Change,
    EventKey,
    EventOutcome,
    LaneName,
    NumberedLine,
    Payment,
    PaymentKey,
    Room,
    StateCount,
)
from ledger.application.provider_lanes import ProviderLanes
from ledger.application.providers import PaymentProvider
from ledger.application.saga_mover import Outside, SagaMover
from ledger.domain.ids import derived_id
from ledger.domain.moments import milliseconds
from ledger.domain.payments.commands import Capture, Release
from ledger.domain.payments.happenings import CaptureRefused, HoldPlaced, ReleaseRefused
from ledger.domain.payments.machine import advance
from ledger.domain.payments.rules import Occasion, PaymentRules
from ledger.domain.payments.saga import start
from ledger.domain.payments.terms import Terms
from ledger.observability.signals import Facts, Signals
from tests.builders import NOW, HandClock, event_id
from tests.payment_doubles import AMOUNT, Hold

RULES = PaymentRules(
    charge_tries_max=3,
    refund_tries_max=3,
    publish_tries_max=3,
    answer_s=10,
    outcome_s=5,
    backoff_s=1,
    backoff_s_max=8,
    not_found_grace_s=40,
    unknown_s_max=200,
    alert_again_s=50,
    deadline_s=300,
)
LEASE_S = 5.0


class CutOffError(Exception):
    """The worker died here."""


@dataclass
class Tape:
    """Counts the places where a worker waits, and cuts it off at one of them."""

    cut_at: int | None = None
    passed: int = 0
    places: list[str] = field(default_factory=list)

    async def reach(self, place: str) -> None:
        self.passed += 1
        self.places.append(place)
        await asyncio.sleep(0)
        if self.passed == self.cut_at:
            raise CutOffError(place)


@dataclass
class Store:
    """A PaymentStore, with the holds in the books of each payment."""

    payments: dict[PaymentKey, Payment] = field(default_factory=dict)
    due: dict[PaymentKey, datetime] = field(default_factory=dict)
    lines: dict[PaymentKey, list[NumberedLine]] = field(default_factory=dict)
    begun: set[tuple[PaymentKey, int]] = field(default_factory=set)
    holds: dict[PaymentKey, Hold] = field(default_factory=dict)

    async def claim(self, now: datetime, until: datetime, room: Room) -> Sequence[Payment]:
        due = [
            self.payments[key] for at, key in sorted((at, key) for key, at in self.due.items()) if at <= now
        ]
        keys = with_room(due, room, now)
        self.due |= dict.fromkeys(keys, until)
        return [self.payments[key] for key in keys]

    async def load(self, keys: Sequence[PaymentKey]) -> Sequence[Payment]:
        return [self.payments[key] for key in keys if key in self.payments]

    async def answered(
        self, keys: Sequence[PaymentKey], events: Sequence[EventKey] = ()
    ) -> Sequence[Answered]:
        found = [Answered(self.payments[key], self._said(key)) for key in keys]
        return [each for each in found if each.said is not None]

    def _said(self, key: PaymentKey) -> BooksSay | None:
        event, hold = self.payments[key].saga.event_id, self.holds[key]
        outcome = hold.outcomes.get(event or "")
        if event is None or outcome is None:
            return None
        refused = isinstance(outcome, CaptureRefused | ReleaseRefused)
        return BooksSay(event, not refused, getattr(outcome, "reason", None), hold.fact)

    async def outcomes(self, keys: Sequence[EventKey]) -> Mapping[EventKey, EventOutcome]:
        return {}

    async def apply(self, changes: Sequence[Change]) -> Sequence[Payment | None]:
        assert len({each.before.key for each in changes}) == len(changes)
        return [self._apply(each) for each in changes]

    async def counts(self) -> Sequence[StateCount]:
        return []

    def _apply(self, change: Change) -> Payment | None:
        key, line = change.before.key, change.line
        if self.payments[key].version != change.before.version:
            return None
        if line.begins and line.attempt is not None:
            if (key, line.attempt) in self.begun:
                return None
            self.begun.add((key, line.attempt))
        stored = Payment(
            saga=change.saga,
            terms=change.before.terms,
            version=change.before.version + 1,
            created_at=change.before.created_at,
        )
        self.payments[key] = stored
        self.lines.setdefault(key, []).append(NumberedLine(stored.version, line))
        self.due.pop(key, None)
        if change.saga.next_at is not None:
            self.due[key] = change.saga.next_at
        return stored


class Interrupted:
    """Hands every call on, and reaches a place before it and after it."""

    def __init__(self, inner: Any, tape: Tape) -> None:
        self._inner = inner
        self._tape = tape

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._inner, name)

        async def call(*given: Any) -> Any:
            await self._tape.reach(f"before {name}")
            answer = await method(*given)
            await self._tape.reach(f"after {name}")
            return answer

        return call


@dataclass
class Books:
    """A PaymentLog whose events are posted at once: each id has one outcome."""

    store: Store
    published: list[dict[str, Any]] = field(default_factory=list)

    async def publish(self, key: bytes, value: bytes) -> None:
        event = orjson.loads(value)
        self.published.append(event)
        hold = self.store.holds[PaymentKey(event["tenant"], event["data"]["hold"])]
        capture = event["type"] == "hold.capture.v1"
        hold.handle(Capture(event["id"]) if capture else Release(event["id"]))


@dataclass
class OneProvider:
    """The Providers of these tests."""

    provider: PaymentProvider | None
    moods: dict[str, Mood] = field(default_factory=dict)
    places: dict[LaneName, int] = field(default_factory=dict)

    async def find(self, tenant: str, name: str) -> PaymentProvider | None:
        return self.provider

    def mood(self, tenant: str, name: str) -> Mood:
        return self.moods.get(name, Mood.UP)

    def slots(self) -> Mapping[LaneName, int]:
        return self.places | {("acme", name): 4 for name in self.moods}


class Stage:
    """Payments, what they meet, and as many workers as a test likes."""

    def __init__(self, provider: Any = None, *, refuses_capture: bool = False) -> None:
        self.clock = HandClock()
        self.store = Store()
        self.books = Books(self.store)
        self.provider = MemoryProvider() if provider is None else provider
        self.providers = OneProvider(self.provider)
        self.registry: Any = None
        """Providers in place of these."""
        self.refuses_capture = refuses_capture
        self.heard: list[tuple[str, Facts]] = []
        self.signals = Signals(lambda name, facts: self.heard.append((name, facts)))
        self.serial = 0
        self.failures: list[BaseException] = []

    def request(
        self, name: object = "p", *, provider: str = "bank", deadline_s: float | None = None
    ) -> PaymentKey:
        """Accept a payment."""
        now = self.clock.now()
        payment_id = event_id(name, NOW)
        deadline = None if deadline_s is None else now + timedelta(seconds=deadline_s)
        saga = start(payment_id, tenant="acme", now=now, deadline=deadline, rules=RULES)
        saga = advance(saga, HoldPlaced(), Occasion(now, 0.0, "", RULES)).saga
        terms = Terms(debit="ann", credit="shop", amount=AMOUNT, asset="USD/2", provider=provider)
        payment = Payment(saga=saga, terms=terms, version=1, created_at=now)
        self.store.payments[payment.key] = payment
        self.store.due[payment.key] = now
        self.store.holds[payment.key] = Hold(refuses_capture=self.refuses_capture)
        return payment.key

    def worker(self, tape: Tape | None = None, slots: int = 4, in_hand: int = 100) -> AdvancePayments:
        """Begin a worker, which is cut off as a tape says."""
        tape = tape or Tape()
        store: Any = Interrupted(self.store, tape)
        outside = Outside(self.clock, lambda: 0.5, self._fresh_id)
        providers: Any = OneProvider(
            None if self.providers.provider is None else Interrupted(self.providers.provider, tape),  # type: ignore[arg-type]
            self.providers.moods,
            self.providers.places,
        )
        log: Any = Interrupted(self.books, tape)
        lanes = ProviderLanes(self.failures.append)
        providers = self.registry or providers
        rooms = LaneRooms(lanes, self.registry or self.providers, slots)
        self.lanes = lanes
        mover = SagaMover(store, outside, RULES, self.signals)
        pace = Pace(LEASE_S, 100, in_hand)
        return AdvancePayments(
            store, mover, providers, log, lanes, rooms, self.clock, RULES, self.signals, pace
        )

    def _fresh_id(self, payment_id: str) -> str:
        self.serial += 1
        return derived_id(milliseconds(NOW), payment_id, str(self.serial))

    async def round(self, worker: AdvancePayments) -> None:
        """Let a worker take what is due, and finish it."""
        await worker.take_due()
        await self.lanes.finish(5.0)

    async def run(self, *, tape: Tape | None = None, rounds: int = 60) -> None:
        """Let workers go on until every payment ends; one that is cut off is followed by a new one."""
        worker = self.worker(tape)
        for _ in range(rounds):
            self.failures.clear()
            try:
                await self.round(worker)
                cut = any(isinstance(each, CutOffError) for each in self.failures)
            except CutOffError:
                cut = True
            if cut:
                worker = self.worker()
            if not self.store.due:
                return
            self.clock.time = max(self.clock.time + timedelta(seconds=1), min(self.store.due.values()))

    def states(self) -> set[str]:
        """Where the payments are."""
        return {payment.saga.state.value for payment in self.store.payments.values()}

    def check(self) -> None:
        """All payments are at an end, with every sum right and each deed done once."""
        charged, refunded = self.provider.moved().get("USD/2", (0, 0))
        captured = sum(hold.captured for hold in self.store.holds.values())
        assert all(payment.saga.state.is_end for payment in self.store.payments.values()), self.states()
        assert all(hold.left == 0 for hold in self.store.holds.values())
        assert charged - refunded == captured
        for lines in self.store.lines.values():
            attempts = [each.line.attempt for each in lines if each.line.begins]
            assert len(attempts) == len(set(attempts)), "an attempt was begun twice"
