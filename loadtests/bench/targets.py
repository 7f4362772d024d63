"""What the ledger must reach, as data: the figure, where it is found in a report, at least, and the aim."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median

from loadtests.bench.results import Measured, Point, Report, Target

UNIFORM, HOT, DUPLICATES = "drain/uniform", "drain/hot", "drain/duplicates"
ALL_WORKERS = "drain/uniform@all"
ONE_WORKER, TWO_WORKERS = "workers/uniform@1", "workers/uniform@2"
RAW, STOCK = "reference/raw", "reference/stock_faust"
PACED_HALF, PACED_100 = "paced/uniform@half", "paced/uniform@100"
GROWTH_NONE, GROWTH_MOST = "growth/uniform@0", "growth/uniform@50000000"
SOAK = "soak/uniform"

COMMITTED = "published_to_committed"
MEMORY = "memory_mib."
FLAT = 1.05
"""Memory is flat if its median over the last third of a soak is at most this much of that over the middle third."""

MEMORY_POINTS_MIN = 9

LASTED_MIN_S = 3.0
"""A case that lasted for less tells nothing of a target; references, which are not looked at but timed, do."""

COUNTED_MIN = 0.6
"""Of the events of a drain at least so many are counted: the others were handled while workers came up."""

NO_WORKERS = frozenset({"kafka", "postgres", "load", "sender", "observer", "prober", "api", "provider"})
"""Processes whose memory is told, and which are no workers."""

HTTP_LEDGER_S = 300
"""Transfers a second of an HTTP ledger on PostgreSQL with one call each: the upper end of what is published."""

Find = Callable[[Report], list[float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a report, one value a repeat, how it is told, and the cases that it goes by."""

    find: Find
    of: str
    cases: tuple[str, ...]

    def too_short(self, report: Report) -> bool:
        """Whether a run that it goes by took too short a time, or counted too few of its events, to tell anything."""
        runs = (
            run
            for case in self.cases
            if not case.startswith("reference/")
            for run in report.cases.get(case, [])
        )
        return any(run.seconds < LASTED_MIN_S or run.events < COUNTED_MIN * run.asked for run in runs)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A target before anything was measured."""

    name: str
    at_least: float | None
    aim: float | None
    figure: Figure
    unit: str = ""
    lower_is_better: bool = False

    def judged(self, report: Report) -> Target:
        """Say what a report has of it, and whether every repeat reached it, if it lasted long enough to tell."""
        found = self.figure.find(report)
        told = [] if self.figure.too_short(report) else found
        return Target(
            name=self.name,
            at_least=self.at_least,
            aim=self.aim,
            of=self.figure.of,
            unit=self.unit,
            lower_is_better=self.lower_is_better,
            found=found,
            holds=self._reached(told, self.at_least),
            aim_holds=self._reached(told, self.aim),
        )

    def _reached(self, found: Sequence[float], bound: float | None) -> bool | None:
        if not found or bound is None:
            return None
        return all(each <= bound if self.lower_is_better else each >= bound for each in found)


def rate(case: str) -> Figure:
    """Events a second of a case."""
    return Figure(lambda report: report.rates(case), f"rate of {case}", (case,))


def times(case: str, constant: float) -> Figure:
    """A rate in units of a constant one."""
    return Figure(
        lambda report: [each / constant for each in report.rates(case)],
        f"{case} ÷ {constant:,.0f}/s",
        (case,),
    )


def ratio(case: str, reference: str) -> Figure:
    """Rates of a case to those of a reference in the same report: of the same repeat, if there are as many."""
    return Figure(
        lambda report: ratios(report.rates(case), report.rates(reference)),
        f"{case} ÷ {reference}",
        (case, reference),
    )


def ratios(rates: Sequence[float], references: Sequence[float]) -> list[float]:
    """Divide repeat by repeat, by the mean of a reference that each has several of; else by the median of all."""
    if not rates or not references or min(references) <= 0:
        return []
    each_has, left = divmod(len(references), len(rates))
    if left or not each_has:
        return [each / median(references) for each in rates]
    begins = range(0, len(references), each_has)
    means = [mean(references[begin : begin + each_has]) for begin in begins]
    return [each / reference for each, reference in zip(rates, means, strict=True)]


def p99(case: str, latency: str = COMMITTED) -> Figure:
    """The 99th percentile of a latency, in milliseconds."""
    return Figure(
        lambda report: [
            run.latencies[latency].p99_ms for run in report.cases.get(case, []) if latency in run.latencies
        ],
        f"p99 of {latency} in {case}",
        (case,),
    )


def memory_growth(case: str) -> Figure:
    """How much more memory the worker that grew most has in the last third of a run than in the middle third."""
    return Figure(
        lambda report: [
            max(grown(points) for points in workers)
            for run in report.cases.get(case, [])
            if (workers := [points for points in worker_memory(run) if len(points) >= MEMORY_POINTS_MIN])
        ],
        f"memory of the worker that grew most in {case}, last third ÷ middle third",
        (case,),
    )


def memory_most(case: str) -> Figure:
    """The most memory that any worker had, in MiB."""
    return Figure(
        lambda report: [
            max(point.value for points in workers for point in points)
            for run in report.cases.get(case, [])
            if (workers := worker_memory(run))
        ],
        f"most memory of a worker in {case}",
        (case,),
    )


def worker_memory(run: Measured) -> list[list[Point]]:
    """Give the memory of each worker of a run over time."""
    return [
        points
        for name, points in run.series.items()
        if points and name.startswith(MEMORY) and name.removeprefix(MEMORY) not in NO_WORKERS
    ]


def grown(points: Sequence[Point]) -> float:
    """Divide the median of the last third by that of the middle third; at least three points."""
    third = len(points) // 3
    last, middle = points[-third:], points[-2 * third : -third]
    return median(point.value for point in last) / median(point.value for point in middle)


TARGETS = (
    Wanted("uniform, drain, as a ratio to raw", 0.5, 0.8, ratio(UNIFORM, RAW), "×"),
    Wanted("uniform, drain, absolute", 15_000, 25_000, rate(UNIFORM), "/s"),
    Wanted("against stock Faust, one transaction an event", 20, 50, ratio(UNIFORM, STOCK), "×"),
    Wanted("against an HTTP ledger, one call a transfer", 30, 100, times(UNIFORM, HTTP_LEDGER_S), "×"),
    Wanted("hot against uniform", 0.8, 1, ratio(HOT, UNIFORM), "×"),
    Wanted("duplicates against uniform", 1, 1.5, ratio(DUPLICATES, UNIFORM), "×"),
    Wanted("posting and windows workers, uniform", 10_000, 15_000, rate(ALL_WORKERS), "/s"),
    Wanted("paced at half the knee, p99", 250, 50, p99(PACED_HALF), "ms", lower_is_better=True),
    Wanted("paced at 100/s, p99", 50, 15, p99(PACED_100), "ms", lower_is_better=True),
    Wanted("growth: at 50 million entries against 0", 0.8, 0.95, ratio(GROWTH_MOST, GROWTH_NONE), "×"),
    Wanted("two workers on two partitions against one", 1.2, 1.6, ratio(TWO_WORKERS, ONE_WORKER), "×"),
    Wanted("worker memory over a soak is flat", FLAT, None, memory_growth(SOAK), "×", lower_is_better=True),
    Wanted("worker memory over a soak, the most", None, 150, memory_most(SOAK), "MiB", lower_is_better=True),
)


def judge(report: Report) -> list[Target]:
    """Hold a report against every target; those that it did not measure are told as such."""
    return [wanted.judged(report) for wanted in TARGETS]


def all_hold(targets: Sequence[Target]) -> bool:
    """Tell whether each was measured for long enough to tell, and holds; what has no floor need not."""
    return all(target.holds for target in targets if target.at_least is not None)


def missed(targets: Sequence[Target]) -> list[Target]:
    """Give the targets that were measured and not reached."""
    return [target for target in targets if target.holds is False]
