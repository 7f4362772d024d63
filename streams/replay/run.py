"""Running a replay: lanes read ahead side by side, merged into one order, posted batch by batch, and written down."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Protocol, TypeVar

import stamina

from ledger.application.faults import TransientFaultError
from ledger.application.post_events import Batch, PostEvents
from ledger.application.replaying import Precedents, Reached
from ledger.domain.commands import Event
from ledger.domain.ids import time_ms_of
from ledger.domain.moments import milliseconds
from ledger.domain.outcome import Outcome
from ledger.domain.replaying import DecideAgain
from ledger.observability.crash import crash_point
from streams.ahead import one_ahead
from streams.replay.counts import as_counted, as_written
from streams.replay.not_events import NotEvents
from streams.replay.pace import Curve, Pace
from streams.replay.pages import Pages, Reading
from streams.replay.plan import EventPlace, Fate, Known, Merge, Placed, Selection, choose
from streams.replay.read import Decoder, Lane

BATCH_TOTAL_MAX = 20_000
"""Records of any kind after which what is to be posted is posted, however little."""
CHECKPOINT_S = 1.0
DIFFERENT_SHOWN_MAX = 100
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

Answer = TypeVar("Answer")
FindLetters = Callable[[Sequence[Event]], Awaitable[Collection[EventPlace]]]
Hold = Callable[[Sequence[Placed]], AbstractAsyncContextManager[Sequence[Placed]]]
Progress = Callable[[int, int, Mapping[str, int]], None]
"""Called with how many of how many records were gone through, and the counts."""


class BelowHorizonError(Exception):
    """The books may have forgotten an event: they cannot tell whether they have posted it."""

    def __init__(self, event: Event, days: int) -> None:
        where = "" if event.offset is None else f" at {event.topic}/{event.partition}/{event.offset}"
        super().__init__(
            f"event {event.id}{where} is older than the {days} days for which ids are known. Live books cannot "
            "tell whether they have posted it; a rebuild into a schema of its own can have it."
        )


class Checkpoints(Protocol):
    """Where it is written down how far a replay came."""

    async def save(
        self, state: Mapping[int, Reached], counts: Mapping[str, int], *, ended: bool = False
    ) -> None: ...


class NoCheckpoints:
    """Nothing is written down."""

    async def save(
        self, state: Mapping[int, Reached], counts: Mapping[str, int], *, ended: bool = False
    ) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Stage:
    """The books that a replay posts to, and what it knows."""

    post: PostEvents
    there: Precedents | None = None
    """What these books have already; None: they begin empty."""
    precedents: Precedents | None = None
    """What was decided before, to be decided so again."""
    judge: DecideAgain | None = None
    """The judge of `post`, to be told of precedents."""
    publish: Callable[[Sequence[Outcome]], Awaitable[None]] | None = None
    send: Callable[[Sequence[Placed]], Awaitable[None]] | None = None
    """Sends events to the topic, for the workers to post, instead of posting them."""
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    own_since: datetime | None = None
    own_records: bool = False
    hold: Hold = nullcontext
    """Entered while a batch is posted and settled; gives the batch as it is meant by then."""
    settle: Callable[[Sequence[Placed], Sequence[Outcome]], Awaitable[None]] | None = None
    """Told of every batch, and of the outcomes of what was posted of it, when all of them are published."""
    find_letters: FindLetters | None = None
    """Tells which places of some events are those of dead letters: they are passed by. None: they are replayed."""
    horizon: timedelta | None = None
    """Refuse to post what is older."""
    in_the_past: bool = False
    """Whether events without a precedent are decided at the time at which the log took them, and not now."""
    undecided_at: datetime | None = None
    """Where such events stand in the order; None: where the log took them."""
    letters: bool = True
    """Whether records that are no events are kept as dead letters."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a replay."""

    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    different: Sequence[Mapping[str, Any]]
    """Events that came out otherwise than the first time; the first of them."""
    records: int
    seconds: float
    curve: Sequence[tuple[float, int]]
    unseen: Sequence[Mapping[str, Any]] = ()
    """Events that were refused again, with what the rules say of them here; the first of them."""
    not_events: NotEvents = field(default_factory=NotEvents)
    before: int = 0
    """Records that runs before this one went through; `records` are those of this one, and counts are of all."""

    @property
    def posted(self) -> int:
        """How many events the books took in."""
        return sum(self.counts.get(name, 0) for name in ("posted", "rejected", "sent"))

    @property
    def changed_nothing(self) -> bool:
        return not self.posted


class Replayer:
    """One run over some lanes."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        stage: Stage,
        decoder: Decoder,
        selection: Selection,
        *,
        batch_max: int,
        rate: float = 0.0,
        state: Mapping[int, Reached] | None = None,
        counts: Mapping[str, int] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._lanes = {lane.partition: lane for lane in lanes}
        self._stage = stage
        self._decoder = decoder
        self._selection = selection
        self._batch_max = Pace(rate, 0.0).at_once(batch_max)
        self._rate = rate
        self._progress = progress or (lambda done, total, counts: None)
        self._state = {lane.partition: Reached(lane.first, BEGINNING) for lane in lanes} | dict(state or {})
        self._counts, self._reasons = as_counted(counts or {})
        self._different: list[dict[str, Any]] = []
        self._unseen: list[dict[str, Any]] = []
        self._not_events = NotEvents()
        self._curve = Curve()
        self._done = 0
        self._before = sum(max(0, self._state[lane.partition].next - lane.first) for lane in lanes)
        self._events = 0
        self._total = sum(max(0, lane.end - self._state[lane.partition].next) for lane in lanes)
        self._started = self._saved = monotonic()

    async def run(self) -> Told:
        """Replay all of it; raises BelowHorizonError, and what reading raises."""
        reading = Reading(list(self._lanes.values()), self._state, self._decoder, self._known)
        async with reading.ahead() as pages, aclosing(one_ahead(self._batches(pages))) as batches:
            async for batch in batches:
                await self._handle(batch)
        await self._end()
        return self._told()

    async def _batches(self, pages: Pages) -> AsyncGenerator[list[Placed], None]:
        merge = Merge(list(pages))
        batch: list[Placed] = []
        posts = 0
        while await self._refill(merge, pages):
            for found in merge.take():
                placed = choose(found, self._selection)
                batch.append(placed)
                posts += placed.fate is Fate.POST
                if posts >= self._batch_max or len(batch) >= BATCH_TOTAL_MAX:
                    yield batch
                    batch, posts = [], 0
            # It is merged in turns with the batch that is posted.
            await asyncio.sleep(0)
        yield batch

    async def _end(self) -> None:
        for partition, lane in self._lanes.items():
            reached = self._state[partition]
            # What the log ends with may be no records.
            self._state[partition] = Reached(max(lane.end, reached.next), reached.at)
        await self._stage.checkpoints.save(self._state, as_written(self._counts, self._reasons), ended=True)
        self._curve.end(monotonic() - self._started, self._done)
        self._progress(self._total, self._total, self._counts)

    def _told(self) -> Told:
        seconds = monotonic() - self._started
        return Told(
            dict(self._counts),
            dict(self._reasons),
            self._different,
            self._done,
            seconds,
            self._curve.points,
            self._unseen,
            self._not_events,
            self._before,
        )

    # Reading ahead

    async def _known(self, events: Sequence[Event]) -> Known:
        there, precedents = self._stage.there, self._stage.precedents
        has = None if there is None else await insist(lambda: there.of(events))
        rest = [event for event in events if event.identity not in (has or {})]
        told = {} if precedents is None else await insist(lambda: precedents.of(rest))
        found = await self._lettered(rest)
        stage = self._stage
        return Known(has, told, stage.own_since, stage.own_records, found, stage.undecided_at)

    async def _lettered(self, events: Sequence[Event]) -> Collection[EventPlace]:
        find = self._stage.find_letters
        return () if find is None else await insist(lambda: find(events))

    async def _refill(self, merge: Merge, pages: Pages) -> bool:
        """Offer more of every partition that lacks it; False: all is read."""
        for partition in merge.lacking:
            page = await pages[partition].get()
            if isinstance(page, BaseException):
                raise page
            if page is None:
                merge.end(partition)
            else:
                merge.offer(partition, page)
        return not merge.at_end

    # Posting

    async def _handle(self, batch: Sequence[Placed]) -> None:
        async with self._stage.hold(batch) as meant:
            posted = await self._carry_out(meant)
        self._counts.update(_name_of(each) for each in meant if each.fate is not Fate.POST)
        self._not_events.note(meant)
        for partition, last in {each.partition: each for each in batch}.items():
            self._state[partition] = Reached(last.offset + 1, last.at)
        await self._went_on(len(batch), posted)

    async def _carry_out(self, batch: Sequence[Placed]) -> int:
        """Post, publish and settle a batch; gives how many events were new."""
        posted = [each for each in batch if each.fate is Fate.POST]
        letters = [
            each.letter for each in batch if each.fate is Fate.LETTER and each.letter and self._stage.letters
        ]
        self._refuse_forgotten(posted)
        outcomes: Sequence[Outcome] = ()
        if self._stage.send is not None:
            await self._stage.send(posted)
            self._counts["sent"] += len(posted)
        elif posted or letters:
            outcomes = await self._post(posted, Batch([e.event for e in posted if e.event], letters))
            if self._stage.publish is not None:
                await self._stage.publish(outcomes)
            crash_point("batch_replayed")
            self._tally(posted, outcomes)
            self._tally_unseen()
        if self._stage.settle is not None:
            await self._stage.settle(batch, outcomes)
        return len(posted)

    async def _post(self, posted: Sequence[Placed], batch: Batch) -> Sequence[Outcome]:
        judge = self._stage.judge
        if judge is not None:
            judge.precedents = {e.event.identity: e.precedent for e in posted if e.event and e.precedent}
            judge.times = {
                e.event.identity: e.at
                for e in posted
                if e.event and e.precedent is None and self._stage.in_the_past
            }
        return await self._stage.post(batch)

    def _refuse_forgotten(self, posted: Sequence[Placed]) -> None:
        horizon = self._stage.horizon
        if horizon is None:
            return
        oldest_ms = milliseconds(datetime.now(UTC) - horizon)
        for each in posted:
            if each.event and time_ms_of(each.event.id) < oldest_ms:
                raise BelowHorizonError(each.event, horizon.days)

    def _tally(self, posted: Sequence[Placed], outcomes: Sequence[Outcome]) -> None:
        self._counts.update([outcome.kind for outcome in outcomes])
        self._reasons.update(
            [each.reason for each in outcomes if each.reason is not None and each.kind == "rejected"]
        )
        for each, outcome in zip(posted, outcomes, strict=True):
            if _is_as_before(each, outcome):
                continue
            if self._stage.precedents is not None and _is_new(each, outcome):
                self._counts["without_precedent"] += 1
            if _is_different(each, outcome):
                self._counts["different"] += 1
                if len(self._different) < DIFFERENT_SHOWN_MAX:
                    self._different.append(_difference(each, outcome))

    def _tally_unseen(self) -> None:
        """Tell refusals that were repeated though nothing here asks for them; they say nothing against the books."""
        judge = self._stage.judge
        if judge is not None and judge.unseen:
            self._counts["refused_unseen"] += len(judge.unseen)
            for (tenant, event_id), rules_say in judge.unseen.items():
                if len(self._unseen) < DIFFERENT_SHOWN_MAX:
                    self._unseen.append({"tenant": tenant, "event": event_id, "rules_say": rules_say})
            judge.unseen = {}

    async def _went_on(self, records: int, events: int) -> None:
        self._done += records
        self._events += events
        now = monotonic()
        self._curve.add(now - self._started, self._done)
        self._progress(self._done, self._total, self._counts)
        if now - self._saved >= CHECKPOINT_S:
            await self._stage.checkpoints.save(self._state, as_written(self._counts, self._reasons))
            self._saved = monotonic()
        # A rate is for what the books feel: lookups they hardly do.
        await asyncio.sleep(Pace(self._rate, self._started).wait_s(self._events, now))


async def insist(work: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until there is an answer, however long the books are away."""
    attempts = stamina.retry_context(
        on=TransientFaultError, attempts=None, timeout=None, wait_initial=0.05, wait_max=5.0
    )
    async for attempt in attempts:
        with attempt:
            return await work()
    raise RuntimeError("retrying never gives up")


def _name_of(placed: Placed) -> str:
    return placed.fate.value


def _is_as_before(placed: Placed, outcome: Outcome) -> bool:
    precedent = placed.precedent
    return precedent is not None and precedent.kind == outcome.kind and precedent.reason == outcome.reason


def _is_new(placed: Placed, outcome: Outcome) -> bool:
    """Tell whether an event was decided by the rules alone."""
    known = placed.precedent is not None or placed.repeats or placed.held
    return not known and outcome.kind != "duplicate"


def _is_different(placed: Placed, outcome: Outcome) -> bool:
    precedent = placed.precedent
    if precedent is None or placed.repeats or outcome.kind == "duplicate":
        return False
    return (outcome.kind, outcome.reason) != (precedent.kind, precedent.reason)


def _difference(placed: Placed, outcome: Outcome) -> dict[str, Any]:
    precedent, event = placed.precedent, outcome.event
    return {
        "tenant": event.tenant,
        "event": event.id,
        "partition": placed.partition,
        "offset": placed.offset,
        "was": precedent and str(precedent.reason or precedent.kind),
        "is": str(outcome.reason or outcome.kind),
    }
