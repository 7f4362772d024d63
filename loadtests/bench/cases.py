"""Every case by its name, and the two selections that `make bench` and `make bench-full` run."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from loadtests.bench.drain import drain
from loadtests.bench.growth import SIZES, growth
from loadtests.bench.http import Calling, http
from loadtests.bench.paced import Pacing, paced
from loadtests.bench.ramp import ramp
from loadtests.bench.references.every import REFERENCES
from loadtests.bench.results import Measured, Report
from loadtests.bench.soak import soak
from loadtests.bench.stage import Servers, Wishes, stage, tell
from loadtests.bench.targets import (
    ALL_WORKERS,
    ONE_WORKER,
    PACED_100,
    PACED_HALF,
    RAW,
    SOAK,
    TWO_WORKERS,
    UNIFORM,
)
from loadtests.workloads import WORKLOADS, named

KNEE = "ramp/uniform"
KNEES = (KNEE, UNIFORM)
"""Whose rates tell of the knee: that of the drain, where no knee was looked for, is higher than the knee is."""

HALF = 0.5
PACED_WINDOWS = "paced/uniform@windows"
"""At half the knee as well, and a windows worker on."""

STOCK_EVENTS = 10_000
PAYMENT_EVENTS = 20_000
SLOW = ("reference/stock", "reference/pgbench")


@dataclass(frozen=True, slots=True)
class Options:
    """How large a run is: `events` of a drain, and how long what is timed takes."""

    events: int = 200_000
    seconds: float = 15.0
    soak_s: float = 300.0
    rate: float = 0.0
    """Of what is paced at half the knee; 0: half of what was found before in the same run."""
    seed: int = 1
    wishes: Wishes = field(default_factory=Wishes)


@dataclass(slots=True)
class Run:
    """One invocation: what is there, what is asked for, and what was found so far."""

    servers: Servers
    options: Options
    report: Report

    def half(self) -> float:
        """Give the rate that was asked for, or half the knee; raises MissingKneeError."""
        if self.options.rate:
            return self.options.rate
        knee = self.knee()
        if not knee:
            raise MissingKneeError(_remedy(*KNEES))
        return round(HALF * knee)

    def knee(self) -> float | None:
        """Give what was found of the knee so far."""
        return next(filter(None, map(self.report.rate, KNEES)), None)


class MissingKneeError(ValueError):
    """A case goes by the rate of another, which was not run."""


class UnknownCaseError(ValueError):
    """There is no case of that name."""


Case = Callable[[Run], Awaitable[Sequence[Measured]]]


async def _drain(run: Run, workload: str, case: str, **changes: Any) -> Sequence[Measured]:
    options = run.options
    wishes = replace(options.wishes, **changes)
    count = min(options.events, PAYMENT_EVENTS) if workload == "payments" else options.events
    return [await drain(run.servers, named(workload), count, wishes, seed=options.seed, case=case)]


async def _reference(run: Run, name: str) -> Sequence[Measured]:
    options = run.options
    events = min(options.events, STOCK_EVENTS) if name.startswith(SLOW) else options.events
    tell(f"{name}: {events:,} events")
    wishes = Wishes(partitions=options.wishes.partitions, settings=options.wishes.settings)
    async with stage(run.servers, wishes) as own:
        return [await REFERENCES[name](own, events, options.seed)]


async def _paced(run: Run, case: str, rate: float, **changes: Any) -> Sequence[Measured]:
    options = run.options
    wishes = replace(options.wishes, **changes)
    pacing = Pacing(case, "uniform", rate or run.half(), options.seconds, options.seed, wishes=wishes)
    return [await paced(run.servers, pacing)]


async def _ramp(run: Run) -> Sequence[Measured]:
    guess = run.report.rate(UNIFORM) or run.options.rate
    if not guess:
        raise MissingKneeError(_remedy(UNIFORM))
    return [await ramp(run.servers, "uniform", guess, seed=run.options.seed, wishes=run.options.wishes)]


async def _soak(run: Run) -> Sequence[Measured]:
    wishes = replace(run.options.wishes, windows=1)
    return [await soak(run.servers, run.half(), run.options.soak_s, wishes, seed=run.options.seed)]


async def _growth(run: Run, entries: int) -> Sequence[Measured]:
    options = run.options
    return [await growth(run.servers, entries, options.events, options.wishes, seed=options.seed)]


async def _http(run: Run) -> Sequence[Measured]:
    """Beside a stream at half the knee, if that is known."""
    beside = run.half() if run.options.rate or run.knee() else 0.0
    return await http(run.servers, Calling(run.options.seconds, beside, run.options.seed))


CASES: dict[str, Case] = {
    **{name: partial(_reference, name=name) for name in REFERENCES},
    **{f"drain/{name}": partial(_drain, workload=name, case=f"drain/{name}") for name in WORKLOADS},
    ALL_WORKERS: partial(_drain, workload="uniform", case=ALL_WORKERS, windows=1),
    ONE_WORKER: partial(_drain, workload="uniform", case=ONE_WORKER, workers=1, partitions=2),
    TWO_WORKERS: partial(_drain, workload="uniform", case=TWO_WORKERS, workers=2, partitions=2),
    PACED_100: partial(_paced, case=PACED_100, rate=100.0),
    KNEE: _ramp,
    PACED_HALF: partial(_paced, case=PACED_HALF, rate=0.0),
    PACED_WINDOWS: partial(_paced, case=PACED_WINDOWS, rate=0.0, windows=1),
    "http": _http,
    SOAK: _soak,
    **{f"growth/uniform@{size}": partial(_growth, entries=size) for size in SIZES},
}

QUICK = (
    "reference/raw",
    "drain/uniform",
    "drain/hot",
    "drain/duplicates",
    "reference/kafka_alone",
    "reference/stock_faust",
    PACED_HALF,
)
REPEATED = (*QUICK, ALL_WORKERS, ONE_WORKER, TWO_WORKERS, PACED_100)
"""What `--full` runs as often as `--repeats` says: the targets, but for growth and the soak."""

FULL = (*(name for name in CASES if "@isolated" not in name),)


def find_cases(wanted: Sequence[str]) -> list[str]:
    """Give the names of cases, in the order of the list: `drain` stands for all that begin with it."""
    found: list[str] = []
    for each in wanted:
        names = [name for name in CASES if name == each] or [
            name for name in CASES if name.startswith(f"{each}/")
        ]
        if not names:
            raise UnknownCaseError(f"no case {each!r}: `list` names them")
        found += names
    return found


GOES_BY = {
    KNEE: (UNIFORM,),
    PACED_HALF: KNEES,
    PACED_WINDOWS: KNEES,
    SOAK: KNEES,
}
"""Cases that go by the rate of another of the same run."""


def check_order(names: Sequence[str]) -> None:
    """Raise MissingKneeError where a case would go by the rate of one that is not run before it."""
    for number, name in enumerate(names):
        others = GOES_BY.get(name, ())
        if others and not set(others) & set(names[:number]):
            raise MissingKneeError(f"{name}: {_remedy(*others)}")


def _remedy(*others: str) -> str:
    return f"run {' or '.join(others)} first, or give --rate"


def repeated(names: Sequence[str], times: int, *, only_main: bool) -> list[str]:
    """Give them in turn, so that what the machine does meanwhile falls on all; `only_main`: few more than once."""
    again = [name for name in names if name in REPEATED or not only_main]
    return [*_around(names), *(name for _ in range(times - 1) for name in _around(again))]


def _around(names: Sequence[str]) -> list[str]:
    """Have raw measured right before `uniform` and after it: in a minute a machine gets a quarter faster or slower."""
    if not {RAW, UNIFORM} <= set(names):
        return list(names)
    found = [name for name in names if name != RAW]
    at = found.index(UNIFORM)
    return [*found[:at], RAW, UNIFORM, RAW, *found[at + 1 :]]
