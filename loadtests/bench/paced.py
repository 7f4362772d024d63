"""Paced: events come at a set rate, whatever the ledger does, and each latency counts from when its event was due."""

import asyncio
from dataclasses import dataclass, field
from time import monotonic, time_ns
from typing import Any

from loadtests.bench.check import check
from loadtests.bench.cost import memory, steps
from loadtests.bench.flow import Flown, flow
from loadtests.bench.latencies import decoded
from loadtests.bench.orders import Order
from loadtests.bench.published import unread
from loadtests.bench.results import Measured, Percentiles, Point
from loadtests.bench.schedule import Schedule, Step
from loadtests.bench.stage import Servers, Stage, Wishes, stage, tell
from loadtests.bench.windows_probe import WindowsProber
from loadtests.cpu import CpuMeter
from loadtests.workloads import Workload, named

WARM_UP_S = 5.0
PROBES_S = 10
"""Entries a second that are looked for in the windows."""

TIMED_MAX = 1_000_000
QUIET_RATE = 1000
"""Up to this rate a producer sends each record at once; above, it gathers some for `LINGER_MS`."""

LINGER_MS = 5.0
LOOK_S = 0.05
STALLED_S = 120.0

SENT, WINDOW = "due_to_sent", "published_to_window"
MOMENTS = (
    "published: when the event was due by the schedule; decided: posted_at of its outcome; committed: the timestamp "
    "of its outcome's record, made after the commit, as the end of its millisecond; outcome: seen by a consumer; "
    "window: a windows worker gives it over HTTP, asked from the outcome on. All by the clock of one machine."
)


@dataclass(frozen=True, slots=True)
class Pacing:
    """What is sent, to what."""

    case: str
    workload: str
    rate: float
    seconds: float
    seed: int = 1
    warm_up_s: float = WARM_UP_S
    wishes: Wishes = field(default_factory=lambda: Wishes(windows=1))

    @property
    def schedule(self) -> list[Step]:
        """A warm-up that does not count, then what does."""
        return [Step(self.rate, self.warm_up_s), Step(self.rate, self.seconds)]


async def paced(servers: Servers, given: Pacing) -> Measured:
    """Run it on books of its own."""
    async with stage(servers, given.wishes) as own, own.running():
        await prepare_books(own, named(given.workload), given.seed)
        order = order_of(own, given.workload, given.schedule, given.seed)
        prober = windows_prober(own, given.warm_up_s)
        meter, before = CpuMeter(own), await steps(own)
        async with meter.running():
            flown = await flow(order, prober, at_start=meter.start)
        cpu_s = cpu(meter, flown)
        after = await steps(own)
        faults = await books(own, flown)
        measured = _measured(given, flown, [*flown.faults(), *faults, *restarted(own)])
        measured.cpu_s, measured.steps_s = cpu_s, difference(before, after)
        measured.series |= memory(meter)
        measured.notes = await unread(own)
        tell(f"  {given.case}: {told(measured)}")
        return measured


async def prepare_books(own: Stage, workload: Workload, seed: int) -> int:
    """Have the preamble handled whole; says how many records it has."""
    records = await own.fill(workload.preamble(seed, time_ns() // 1_000_000))
    await until_handled(own, records)
    return records


async def until_handled(own: Stage, records: int) -> None:
    """Wait until so many records were handled in all; raises TimeoutError when nothing moves any more."""
    async with own.connection() as connection:
        handled, moved_at = 0, monotonic()
        while handled < records:
            await asyncio.sleep(LOOK_S)
            before, handled = handled, await own.handled(connection)
            if handled > before:
                moved_at = monotonic()
            elif monotonic() - moved_at > STALLED_S:
                raise TimeoutError(f"{handled:,} of {records:,} records are handled, and nothing moves")


def order_of(own: Stage, workload: str, steps_: list[Step], seed: int) -> Order:
    """Tell what is to be sent to a stage."""
    schedule, fastest = Schedule(steps_), max(step.rate for step in steps_)
    return Order(
        kafka=own.servers.kafka,
        payments_topic=own.settings.payments_topic,
        outcomes_topic=own.settings.outcomes_topic,
        workload=workload,
        seed=seed,
        at_ms=time_ns() // 1_000_000,
        steps=steps_,
        linger_ms=LINGER_MS if fastest > QUIET_RATE else 0.0,
        sample_every=1 + schedule.count // TIMED_MAX,
        probe_every=max(1, round(fastest / PROBES_S)) if own.wishes.windows else 0,
    )


def windows_prober(own: Stage, since_s: float) -> WindowsProber | None:
    """Make what asks the windows workers of a stage; None if it has none."""
    urls = [own.url(f"windows-{number}") for number in range(1, own.wishes.windows + 1)]
    token = own.settings.internal_token or own.state.secret("internal-token")
    return WindowsProber(urls, token, since_s) if urls else None


async def books(own: Stage, flown: Flown) -> list[str]:
    """Check the books against what was sent."""
    order = flown.order
    return await check(own, named(order.workload).expected(flown.sent.sent, order.seed))


def restarted(own: Stage) -> list[str]:
    """Say whether a process died on the way."""
    return [f"processes died {own.restarts} times"] if own.restarts else []


def cpu(meter: CpuMeter, flown: Flown) -> dict[str, float]:
    """Processor time of the stack, and of who sent and observed."""
    ours = {"sender": round(flown.sent.cpu_s, 1), "observer": round(flown.observed.cpu_s, 1)}
    return meter.told() | ours


def difference(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Give what was added."""
    return {name: round(value - before.get(name, 0.0), 2) for name, value in after.items()}


def series(flown: Flown) -> dict[str, list[Point]]:
    """Give rate, lag, and the latencies of each second until the commit."""
    by_second = {
        f"committed_{name}": [Point(*pair) for pair in pairs]
        for name, pairs in flown.observed.by_second.items()
    }
    return {"rate": flown.rates(), "lag": flown.lag(), **by_second}


def latencies(flown: Flown, step: int) -> dict[str, Percentiles]:
    """Give the latencies of a step; how late records were sent is of all steps."""
    found = {SENT: decoded(flown.sent.late).percentiles()}
    found |= {name: decoded(text).percentiles() for name, text in flown.observed.by_step[step].items()}
    if flown.prober is not None:
        found[WINDOW] = flown.prober.latencies.percentiles()
    return found


def _measured(given: Pacing, flown: Flown, faults: list[str]) -> Measured:
    step = given.schedule[-1]
    settings: dict[str, Any] = {
        "rate": given.rate,
        "seed": given.seed,
        "warm_up_s": given.warm_up_s,
        "linger_ms": flown.order.linger_ms,
        "timed_every": flown.order.sample_every,
        "workers": given.wishes.workers,
        "windows": given.wishes.windows,
        "partitions": given.wishes.partitions,
        "moments": MOMENTS,
        **given.wishes.settings,
    }
    return Measured(
        case=given.case,
        rate=given.rate,
        seconds=step.seconds,
        events=step.records,
        latencies=latencies(flown, step=1),
        series=series(flown),
        checked=faults,
        settings=settings,
    )


def told(measured: Measured) -> str:
    """Say the 99th percentiles in a line."""
    parts = (f"{name} p99 {each.p99_ms:.1f} ms" for name, each in measured.latencies.items())
    return f"at {measured.rate:,.0f}/s: {', '.join(parts)}"
