"""Post a batch of events: claim, decide in order, write, commit; as often as it takes, with one effect."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import datetime
from time import perf_counter
from typing import NamedTuple, Protocol

import msgspec
import stamina

from ledger.application.faults import TooSlowError, TransientFaultError
from ledger.application.ports import BookStore, Clock, Position, UnitOfWork
from ledger.application.turns import LongWork
from ledger.contract.dead_letter import DeadLetter
from ledger.domain.books import Books, EventKey, Needs, Rules, needs_of
from ledger.domain.commands import Event
from ledger.domain.outcome import Earlier, Outcome, is_redelivery, repeated
from ledger.domain.posting import decide
from ledger.observability.signals import Signals

AT_ONCE = 1000
"""So many events are decided before the loop may go on with what else there is to do."""

TRIES_WHOLE = 3
"""How often a batch that is too slow is tried as it is, before it is parted."""

Waiting = Callable[[str], AbstractContextManager[None]]
"""Says, while it is entered, what a batch waits for."""


def not_said(reason: str) -> AbstractContextManager[None]:
    """Tell nobody."""
    return nullcontext()


class Judge(Protocol):
    """Decides events, and says when each is decided."""

    def moment_of(self, event: Event, now: datetime) -> datetime:
        """Give the time at which `event` counts as decided; `now` is what the clock says."""
        ...

    def decide(self, event: Event, books: Books, now: datetime, rules: Rules) -> Outcome:
        """Decide `event` against `books`, which then hold what it did."""
        ...

    def undone(self, events: Sequence[Event]) -> None:
        """Hear that whatever was decided of `events` is void."""
        ...


class DecideNow:
    """Decides by the rules alone, at the time of the clock."""

    def moment_of(self, event: Event, now: datetime) -> datetime:
        return now

    def decide(self, event: Event, books: Books, now: datetime, rules: Rules) -> Outcome:
        return decide(event, books, now, rules)

    def undone(self, events: Sequence[Event]) -> None:
        pass


class Batch(msgspec.Struct, frozen=True):
    """Events in the order of their partition, what was among them but is no event, and where all of it stood."""

    events: Sequence[Event]
    letters: Sequence[DeadLetter] = ()
    position: Position | None = None


class PostEvents:
    """Applies each event once, however often it comes."""

    def __init__(
        self,
        store: BookStore,
        clock: Clock,
        rules: Rules,
        signals: Signals,
        *,
        backoff_max_s: float = 5.0,
        waiting: Waiting = not_said,
        judge: Judge | None = None,
        long_work: LongWork | None = None,
    ) -> None:
        """`long_work` is what is put off while a batch holds locks."""
        self._store = store
        self._clock = clock
        self._rules = rules
        self._signals = signals
        self._backoff_max_s = backoff_max_s
        self._waiting = waiting
        self._judge = judge or DecideNow()
        self._long_work = long_work or LongWork()

    async def __call__(self, batch: Batch) -> list[Outcome]:
        """Post `batch` and give the outcome of each event, in order, once they are durable.

        Waits out transient faults for as long as they last; raises PositionGapError, and whatever is a bug.
        """
        try:
            return await self._insist(batch)
        except TooSlowError:
            self._signals.emit("batch.halved", records=len(batch.events))
            return [outcome for half in halves(batch) for outcome in await self(half)]

    async def _insist(self, batch: Batch) -> list[Outcome]:
        """Try until it is done; raises TooSlowError where less at a time may do."""
        attempts = stamina.retry_context(
            on=_Patience(self._signals, may_be_halved=len(batch.events) > 1),
            attempts=None,
            timeout=None,
            wait_initial=0.02,
            wait_max=self._backoff_max_s,
            wait_jitter=0.2,
        )
        with ExitStack() as waits:
            async for attempt in attempts:
                if attempt.num > 1:
                    self._judge.undone(batch.events)
                if attempt.num == 2:
                    waits.enter_context(self._waiting("postgres"))
                with attempt:
                    return await self._try(batch)
        raise RuntimeError("retrying never gives up")

    async def _try(self, batch: Batch) -> list[Outcome]:
        started = perf_counter()
        async with self._store.unit_of_work() as unit:
            outcomes = await self._post(unit, batch)
        self._signals.emit(
            "batch.posted", outcomes=outcomes, letters=batch.letters, s=perf_counter() - started
        )
        return outcomes

    async def _post(self, unit: UnitOfWork, batch: Batch) -> list[Outcome]:
        """Claim, lock, decide, write and commit."""
        claimed = await self._claimed(unit, batch.events)
        if batch.position is not None:
            # Before the locks, for which others wait: for this waits only who has the same partition.
            await unit.advance(batch.position)
        books = await self._locked(unit, needs_of(claimed.new.values()))
        with self._long_work.put_off():
            outcomes = await self._decide(unit, batch, claimed, books)
            await unit.commit()
        return outcomes

    async def _claimed(self, unit: UnitOfWork, events: Sequence[Event]) -> "_Claimed":
        firsts = _first_of_each_id(events)
        known = dict(await unit.claim(list(firsts.values())))
        new = {key: event for key, event in firsts.items() if key not in known} if known else firsts
        return _Claimed(firsts, known, new)

    async def _decide(
        self, unit: UnitOfWork, batch: Batch, claimed: "_Claimed", books: Books
    ) -> list[Outcome]:
        """Decide what is new and write it; what is known gets the answer that it has."""
        firsts, known, new = claimed
        now = books.not_before(self._clock.now())
        decided = await self._judged(new, books, now)
        at = [self._judge.moment_of(event, now) for event in new.values()]
        await unit.write(books, list(decided.values()), at, batch.letters)
        if len(decided) == len(batch.events):
            return list(decided.values())
        recalled = await self._recall(unit, firsts, known)
        known.update((key, _as_earlier(outcome)) for key, outcome in decided.items())
        settled = decided | recalled
        return [
            settled[event.identity]
            if event.identity in settled and firsts[event.identity] is event
            else repeated(event, known[event.identity], now)
            for event in batch.events
        ]

    async def _locked(self, unit: UnitOfWork, needs: Needs) -> Books:
        books = await unit.lock(needs)
        books.watched = needs.originals
        books.payment_rules = self._rules.payments
        if needs.providers:
            books.payments_begin = self._clock.now()
        return books

    async def _judged(
        self, events: dict[EventKey, Event], books: Books, now: datetime
    ) -> dict[EventKey, Outcome]:
        decided: dict[EventKey, Outcome] = {}
        for count, (key, event) in enumerate(events.items(), 1):
            decided[key] = self._judge.decide(event, books, now, self._rules)
            if count % AT_ONCE == 0:
                await asyncio.sleep(0)
        return decided

    async def _recall(
        self, unit: UnitOfWork, firsts: dict[EventKey, Event], known: dict[EventKey, Earlier]
    ) -> dict[EventKey, Outcome]:
        """Read what records delivered again caused the first time, so that it can be published again."""
        again = [firsts[key] for key, earlier in known.items() if is_redelivery(firsts[key], earlier)]
        if not again:
            return {}
        self._signals.emit("events.redelivered", count=len(again))
        return {outcome.event.identity: outcome for outcome in await unit.recall(again, known)}


class _Claimed(NamedTuple):
    """The first event of each id, what the books knew of those that were claimed before, and the others."""

    firsts: dict[EventKey, Event]
    known: dict[EventKey, Earlier]
    new: dict[EventKey, Event]


class _Patience:
    """Says whether a fault is worth another try; a batch that is too slow as a whole, only so often."""

    def __init__(self, signals: Signals, *, may_be_halved: bool) -> None:
        self._signals = signals
        self._slow_left = TRIES_WHOLE if may_be_halved else None

    def __call__(self, error: Exception) -> bool:
        if not isinstance(error, TransientFaultError):
            return False
        self._signals.emit("batch.delayed", fault=str(error), cause=type(error.__cause__).__name__)
        if isinstance(error, TooSlowError) and self._slow_left is not None:
            self._slow_left -= 1
        return self._slow_left is None or self._slow_left > 0


def halves(batch: Batch) -> list[Batch]:
    """Part a batch of two or more events in two; each dead letter stays where it stood among them."""
    middle = len(batch.events) // 2
    first, second = batch.events[:middle], batch.events[middle:]
    if batch.position is None:
        return [Batch(first, batch.letters), Batch(second)]
    border = second[0].offset
    if border is None:
        raise ValueError("events of a position have offsets")
    structure = msgspec.structs.replace
    return [
        Batch(
            first,
            [each for each in batch.letters if each.record.offset < border],
            structure(batch.position, next=border),
        ),
        Batch(
            second,
            [each for each in batch.letters if each.record.offset >= border],
            structure(batch.position, first=border),
        ),
    ]


def _first_of_each_id(events: Sequence[Event]) -> dict[EventKey, Event]:
    firsts: dict[EventKey, Event] = {}
    for event in events:
        firsts.setdefault((event.tenant, event.id), event)
    return firsts


def _as_earlier(outcome: Outcome) -> Earlier:
    return Earlier(
        outcome.event.fingerprint,
        outcome.kind,
        outcome.posted_at,
        transaction=outcome.transaction,
        reason=outcome.reason,
        detail=outcome.detail,
    )
