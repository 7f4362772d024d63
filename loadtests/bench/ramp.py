"""Ramp: the rate goes up step by step until the lag grows; the last rate that was held is the knee."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, linear_regression

from loadtests.bench.cost import memory, steps
from loadtests.bench.flow import Flown, flow
from loadtests.bench.latencies import decoded
from loadtests.bench.orders import Seen
from loadtests.bench.paced import (
    books,
    cpu,
    difference,
    latencies,
    order_of,
    prepare_books,
    restarted,
    series,
)
from loadtests.bench.results import Measured, Point
from loadtests.bench.schedule import Schedule, Step
from loadtests.bench.stage import Servers, Wishes, stage, tell
from loadtests.bench.targets import COMMITTED
from loadtests.cpu import CpuMeter
from loadtests.workloads import named

SHARES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3)
"""Of the rate that is expected; a drain's is a good guess."""

STEP_S = 6.0
WARM_UP_S = 5.0
SETTLED = 0.4
"""The share of a step that is not looked at: the ledger gets used to the new rate."""

GROWS = 0.03
"""Lag grows if this share of what is due is left, and"""
BEHIND_S = 0.3
"""the lag at the end of a step is what is due in this time."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a step was like: events a second that were due, that were handled, and the lag at its end."""

    rate: float
    handled: float
    lag: float

    @property
    def grows(self) -> bool:
        """Whether the ledger did not keep up."""
        return self.handled < (1 - GROWS) * self.rate and self.lag > BEHIND_S * self.rate


@dataclass(frozen=True, slots=True)
class Knee:
    """The highest rate that was held; `reached` is whether a higher one was tried in vain."""

    rate: float
    reached: bool


def knee(held: Sequence[Held]) -> Knee:
    """Find it: after it come two steps in which the lag grows, or one that is the last.

    One step alone may have been a pause of the machine. If nothing was held, it is what was handled in the first.
    """
    for number, step in enumerate(held):
        after = held[number + 1 : number + 2]
        if step.grows and all(each.grows for each in after):
            return Knee(held[number - 1].rate if number else step.handled, reached=True)
    return Knee(held[-1].rate, reached=False)


def judge(schedule: Schedule, number: int, curve: Sequence[Seen], every: int = 1) -> Held | None:
    """Say what a step was like; None if too little of it was seen.

    The ledger commits in chunks, so what was handled is told by the line that fits all lags best.
    """
    begin, end = schedule.span_of(number)
    settled = begin + SETTLED * (end - begin)
    points = [seen for seen in curve if settled <= seen.at_s <= end]
    if len(points) < 3:
        return None
    times = [seen.at_s for seen in points]
    lags = [float(schedule.due_by(seen.at_s) - seen.seen * every) for seen in points]
    rate = schedule.steps[number].rate
    return Held(rate, rate - linear_regression(times, lags).slope, max(0.0, fmean(lags[-3:])))


class Watcher:
    """Stops a ramp when the lag has grown for two steps."""

    def __init__(self, schedule: Schedule, every: int = 1) -> None:
        self._schedule = schedule
        self._every = every
        self._curve: list[Seen] = []
        self._held: dict[int, Held] = {}

    def __call__(self, seen: Seen) -> bool:
        """Take in how far the observer is; True if it is enough."""
        self._curve.append(seen)
        for number in range(1, len(self._schedule.steps)):
            if number not in self._held and seen.at_s > self._schedule.span_of(number)[1]:
                self._judge(number)
        newest = [self._held[number] for number in sorted(self._held)][-2:]
        return len(newest) == 2 and all(each.grows for each in newest)

    def _judge(self, number: int) -> None:
        held = judge(self._schedule, number, self._curve, self._every)
        if held is not None:
            self._held[number] = held
            tell(f"  {held.rate:,.0f}/s due: {held.handled:,.0f}/s handled, lag {held.lag:,.0f}")

    @property
    def held(self) -> list[Held]:
        """What was seen of the steps after the warm-up."""
        return [self._held[number] for number in sorted(self._held)]


def ramp_steps(guess: float, step_s: float = STEP_S) -> list[Step]:
    """Give the steps around a rate that is expected, after a warm-up."""
    return [Step(SHARES[0] * guess, WARM_UP_S), *(Step(share * guess, step_s) for share in SHARES)]


async def ramp(
    servers: Servers, workload: str, guess: float, *, seed: int = 1, wishes: Wishes | None = None
) -> Measured:
    """Find the knee of a workload, on books of its own."""
    async with stage(servers, wishes or Wishes()) as own, own.running():
        await prepare_books(own, named(workload), seed)
        order = order_of(own, workload, ramp_steps(guess), seed)
        watcher = Watcher(order.schedule, order.sample_every)
        meter, before = CpuMeter(own), await steps(own)
        async with meter.running():
            flown = await flow(order, watch=watcher, at_start=meter.start)
        cpu_s, after = cpu(meter, flown), await steps(own)
        faults = [*flown.faults(), *await books(own, flown), *restarted(own)]
        measured = _measured(f"ramp/{workload}", flown, watcher.held, faults)
        measured.cpu_s, measured.steps_s = cpu_s, difference(before, after)
        measured.series |= memory(meter)
        tell(f"  {measured.case}: the knee is at {measured.rate:,.0f}/s")
        return measured


def _measured(case: str, flown: Flown, held: Sequence[Held], faults: list[str]) -> Measured:
    found = knee(held)
    at = next((number for number, each in enumerate(held, 1) if each.rate == found.rate), 1)
    return Measured(
        case=case,
        rate=found.rate,
        seconds=flown.order.schedule.due_s(max(0, flown.sent.sent - 1)),
        events=flown.sent.sent,
        latencies=latencies(flown, at),
        series={**series(flown), **curves(flown, held)},
        checked=faults,
        settings={"knee_reached": found.reached, "seed": flown.order.seed, "step_s": STEP_S},
    )


def curves(flown: Flown, held: Sequence[Held]) -> dict[str, list[Point]]:
    """Give what goes by the rate that was due: the rate handled, the lag, and the latency until the commit."""
    committed = [decoded(step[COMMITTED]) for step in flown.observed.by_step]
    found = {
        "handled_at": [Point(each.rate, each.handled) for each in held],
        "lag_at": [Point(each.rate, each.lag) for each in held],
    }
    for percentile in (50, 99):
        found[f"p{percentile}_ms_at"] = [
            Point(each.rate, step.ms(percentile))
            for each, step in zip(held, committed[1:], strict=False)
            if step.count
        ]
    return found
