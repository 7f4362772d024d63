"""Drain: the topic is filled first, then workers handle it as fast as they can."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from time import monotonic, time_ns
from typing import Any

from loadtests.bench import ground
from loadtests.bench.beside import QUOTA_SETTINGS, Beside, Found
from loadtests.bench.check import check
from loadtests.bench.cost import Costs, costs, memory, spent, steps
from loadtests.bench.packing import INPUT
from loadtests.bench.published import unread
from loadtests.bench.results import EVENTS_ASKED, Measured, Point
from loadtests.bench.stage import Servers, Stage, Wishes, stage, tell
from loadtests.cpu import CpuMeter
from loadtests.expected import ExpectedBooks
from loadtests.workloads import Workload

LOOK_S = 0.1
RATE_S = 1.0
SAMPLE_S = 2.0
TOLD_S = 10.0
STALLED_S = 120.0
CLOCK = (
    "The clock of a drain runs from the first look at which something is committed, and every worker of posting is "
    "ready, to when every outcome and every entry is in its topic (with windows: in the windows); what was committed "
    "by that first look is not counted."
)
_PAYMENTS = "select count(*) filter (where due_at is null) from payments"
PAYMENT_SETTINGS = {"payment_rules": {"deadline_s": 86_400}}
"""However long the queue is, no payment runs out of time: so its end is known beforehand."""


class StalledError(RuntimeError):
    """Nothing moves any more, or a process died."""


@dataclass(slots=True)
class Watched:
    """What was seen while the books moved: times of the monotonic clock, and how many records were handled."""

    begun: tuple[float, int] = (0.0, 0)
    ended: tuple[float, int] = (0.0, 0)
    costs: Costs = field(default_factory=dict)
    costs_after: Costs = field(default_factory=dict)
    windows_behind_s: float | None = None
    rates: list[Point] = field(default_factory=list)
    lags: list[Point] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the first that was handled to when the last was published."""
        return self.ended[0] - self.begun[0]

    @property
    def handled(self) -> int:
        return self.ended[1] - self.begun[1]


async def drain(
    servers: Servers,
    workload: Workload,
    count: int,
    wishes: Wishes | None = None,
    *,
    seed: int = 1,
    case: str = "",
) -> Measured:
    """Measure one workload of `count` events on a stage of its own, and check the books.

    Counted is what comes after the first look that finds something handled, and every worker there: starting up is no
    part of the rate.
    """
    wishes = wished(wishes or Wishes(), workload)
    case = case or f"drain/{workload.name}"
    tell(f"{case}: {count:,} events, {wishes.workers} of posting on {wishes.partitions} partitions")
    expected = workload.expected(count, seed)
    async with stage(servers, wishes) as made, made.connection() as connection:
        preamble = await prepare(made, workload, count, seed)
        run = Drain(made, connection, workload, Goal(preamble, count, expected))
        measured = await run.measured(case)
        measured.checked = [*run.faults, *await check(made, expected)]
        measured.notes = [CLOCK, INPUT, *await unread(made)]
    measured.settings |= {**told(wishes), "seed": seed}
    of = f"{measured.events:,} of {count:,} events in {measured.seconds:.2f} s"
    tell(
        f"{case}: {measured.rate:,.0f}/s ({of}); {'; '.join(measured.checked) or 'the books are as expected'}"
    )
    return measured


def wished(wishes: Wishes, workload: Workload) -> Wishes:
    """Add what a workload needs."""
    needs = workload.needs
    settings = {
        **(PAYMENT_SETTINGS if "payments" in needs else {}),
        **(QUOTA_SETTINGS if "noise" in needs else {}),
        **wishes.settings,
    }
    payments = wishes.payments or int("payments" in needs)
    return replace(wishes, payments=payments, api=wishes.api or "api" in needs, settings=settings)


def told(wishes: Wishes) -> dict[str, Any]:
    """Give the wishes for a report."""
    counts = {
        name: getattr(wishes, name) for name in ("workers", "partitions", "windows", "payments", "chain")
    }
    return {name: count for name, count in counts.items() if count} | dict(wishes.settings)


async def prepare(made: Stage, workload: Workload, count: int, seed: int) -> int:
    """Lay the ground, and fill the topic; says how many records come before those that are measured."""
    at_ms = time_ns() // 1_000_000
    if workload.ground:
        await ground.lay(made, workload.ground, at_ms)
    preamble = await made.fill(workload.preamble(seed, at_ms))
    await made.fill(workload.records(count, seed, at_ms))
    return preamble


@dataclass(frozen=True, slots=True)
class Goal:
    """What has to happen: records before those that count, those that count, and the books at the end."""

    preamble: int
    count: int
    expected: ExpectedBooks

    @property
    def records(self) -> int:
        return self.preamble + self.count

    @property
    def payments(self) -> int:
        return self.expected.payments

    @property
    def entries(self) -> int:
        """How many entries are published."""
        return self.expected.published_entries

    @property
    def outcomes(self) -> int:
        """How many outcomes are published."""
        return self.expected.published_outcomes

    def counted(self, begun: int, ended: int) -> int:
        """How many events count, of records that were handled when the clock began and ended.

        Payments send further records, which are no events of the workload: theirs are those not handled before.
        """
        return self.count - min(self.count, max(0, begun - self.preamble)) if self.payments else ended - begun


class Drain:
    """One filled topic, which is drained."""

    def __init__(self, made: Stage, connection: Any, workload: Workload, goal: Goal) -> None:
        self._stage = made
        self._connection = connection
        self._goal = goal
        self._ended = 0
        self._meter = CpuMeter(made, sample_s=SAMPLE_S)
        self._seen = Watched()
        self._begun = asyncio.Event()
        self._are_all_there = made.wishes.workers == 1  # where one has handled something
        self._counts_all = False
        self._beside = Beside(made, workload)
        self._marked = (0.0, 0)
        self.faults: list[str] = []

    async def measured(self, case: str) -> Measured:
        """Run the processes until everything is handled."""
        async with (
            self._stage.beside(*self._beside.preparations),
            self._watching() as watching,
            self._stage.posting(),
        ):
            self._are_all_there = True
            await self._until_begun(watching)
            async with self._beside.reading() as found:
                await watching
            cpu_s, steps_s = self._meter.told(), await steps(self._stage)
            died = self._stage.restarts
        self.faults += [*found.faults, *([f"processes that died: {died}"] if died else [])]
        seen = self._seen
        events = self._goal.counted(seen.begun[1], seen.ended[1])
        counted = seen.handled / max(1, seen.ended[1])
        return Measured(
            case=case,
            rate=round(events / max(seen.seconds, LOOK_S), 1),
            seconds=round(seen.seconds, 2),
            events=events,
            latencies=found.latencies,
            cpu_s=cpu_s,
            steps_s={name: round(took_s * counted, 2) for name, took_s in steps_s.items()},
            series={"rate": seen.rates, "lag": seen.lags, **memory(self._meter)},
            cost=spent(seen.costs, seen.costs_after, events / self._goal.records),
            settings=self._told(found),
        )

    def _told(self, found: Found) -> dict[str, Any]:
        answers: dict[str, Any] = {"answers": found.answers} if found.answers else {}
        behind_s = self._seen.windows_behind_s
        behind = {} if behind_s is None else {"windows_behind_s": behind_s}
        return {EVENTS_ASKED: self._goal.count, **answers, **behind}

    async def _until_begun(self, watching: asyncio.Task[None]) -> None:
        begun = asyncio.create_task(self._begun.wait())
        await asyncio.wait((watching, begun), return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[asyncio.Task[None]]:
        """Watch from before the workers start."""
        task = asyncio.create_task(self._watch())
        try:
            async with self._meter.running():
                yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        """Sample until all is handled; what is measured begins when the preamble is handled."""
        before, moved_at, told_at = 0, monotonic(), monotonic()
        while not self._begun.is_set() or not await self._at_end(before):
            await asyncio.sleep(LOOK_S)
            now, handled = monotonic(), await self._stage.handled(self._connection)
            if handled > before or await self._payments_moved():
                moved_at = now
            elif now - moved_at > STALLED_S:
                raise StalledError(f"nothing moved for {STALLED_S:.0f} s, at {handled:,} records handled")
            await self._note(now, handled)
            if now - told_at > TOLD_S:
                tell(f"  {handled:,} handled")
                told_at = now
            before = handled
        posted_at = monotonic()
        await self._until_published(before)
        if self._stage.wishes.windows:
            await self._until_windowed(before, posted_at)
        self._meter.stop()
        self._seen.costs_after = await costs(self._stage, self._connection)

    async def _note(self, now: float, handled: int) -> None:
        seen = self._seen
        if not self._begun.is_set():
            if handled > 0 and handled >= self._goal.preamble:
                await self._begin(now, handled)
                self._begun.set()
            return
        if self._are_all_there and not self._counts_all and seen.ended[1] < handled < self._goal.records:
            await self._begin(now, handled)
            return
        at_s = round(now - seen.begun[0], 2)
        if handled > seen.ended[1]:
            seen.ended = (now, handled)
        seen.lags.append(Point(at_s, max(0, self._goal.records - handled)))
        if (since_s := now - self._marked[0]) >= RATE_S:
            seen.rates.append(Point(at_s, round((handled - self._marked[1]) / since_s, 1)))
            self._marked = (now, handled)

    async def _begin(self, now: float, handled: int) -> None:
        """Count from now on: once something is handled, and anew when those workers have come that began later."""
        seen = self._seen
        self._meter.start()
        self._counts_all = self._are_all_there
        seen.begun = seen.ended = self._marked = (now, handled)
        seen.costs = await costs(self._stage, self._connection)
        seen.rates.clear()
        seen.lags.clear()

    async def _until_published(self, handled: int) -> None:
        """What is committed is done only when its outcome and its entries are in their topics."""
        settings, begun = self._stage.settings, monotonic()
        wanted = {settings.outcomes_topic: self._goal.outcomes, settings.entries_topic: self._goal.entries}
        while behind := _behind(await self._stage.ends(wanted), wanted):
            if monotonic() - begun > STALLED_S:
                raise StalledError(f"all is committed, but not published: {'; '.join(behind)}")
            await asyncio.sleep(LOOK_S)
        self._seen.ended = (monotonic(), handled)

    async def _until_windowed(self, handled: int, posted_at: float) -> None:
        """With windows, all is done only when they have the last entry."""
        begun = monotonic()
        while await self._stage.windowed() < self._goal.entries:
            if monotonic() - begun > STALLED_S:
                raise StalledError(
                    f"the windows have {await self._stage.windowed():,} of {self._goal.entries:,}"
                )
            await asyncio.sleep(LOOK_S)
        self._seen.ended = (monotonic(), handled)
        self._seen.windows_behind_s = round(monotonic() - posted_at, 2)

    async def _payments_moved(self) -> bool:
        before, self._ended = self._ended, self._ended
        if self._goal.payments:
            self._ended = await self._connection.fetchval(_PAYMENTS)
        return self._ended > before

    async def _at_end(self, handled: int) -> bool:
        """All that was sent is handled; and of payments, all have come to an end, with the events that end them."""
        if handled < self._goal.records or self._ended < self._goal.payments:
            return False
        return not self._goal.payments or handled == await self._stage.written(
            self._stage.settings.payments_topic
        )


def _behind(found: Mapping[str, int], wanted: Mapping[str, int]) -> list[str]:
    return [
        f"{topic} has {found[topic]:,} of {least:,}"
        for topic, least in wanted.items()
        if found[topic] < least
    ]
