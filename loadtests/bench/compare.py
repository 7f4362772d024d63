"""Two reports held against each other: how much faster each case became, and whether the repeats show it.

The interval is Welch's, of the means of logarithms, so it is one of a ratio. A bootstrap of three repeats would be
far too narrow. At 95 % one case in twenty shows a difference by chance alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, variance

from ledger.config import Settings
from loadtests.bench.results import Measured, Report

CONFIDENCE = 0.95
SET_RATES = ("paced/", "soak/")
SET_HTTP = ("@paced", "@wait")

FASTER, SLOWER, SAME, UNKNOWN = "faster", "slower", "no difference shown", "too few repeats"
CHOSEN = (
    *("windows", "payments", "chain", "seed", "warm_up_s", "timed_every", "claiming"),
    *("isolated_partitions", "entries_before", "connections", "events_in_a_request", *Settings.model_fields),
)
"""What of the settings of a run somebody chose: those of two runs that are compared should be the same."""
RATES_APART = 0.02
"""By a larger share, latencies at two rates that were set say nothing of each other."""
_STEPS = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of a ratio."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of one case: `speed` is above 1 if the second report is faster, for rates as for latencies."""

    case: str
    measure: str
    before: float
    after: float
    repeats: tuple[int, int]
    speed: float
    interval: Interval | None

    @property
    def verdict(self) -> str:
        """Say what the repeats show."""
        if self.interval is None:
            return UNKNOWN
        if self.interval.low > 1:
            return FASTER
        return SLOWER if self.interval.high < 1 else SAME

    def shown_below(self, bound: float) -> bool:
        """Whether all of the interval is under a bound."""
        return self.interval is not None and self.interval.high < bound


def rate_was_set(case: str) -> bool:
    """Whether a case has no rate of its own: it is compared by its latencies."""
    return case.startswith(SET_RATES) or case.endswith(SET_HTTP)


def compare(before: Report, after: Report) -> list[Difference]:
    """Compare every measure that both reports have, but for cases whose rate was set, and to something else."""
    return [
        difference(case, measure, earlier, later)
        for case, runs in before.cases.items()
        if case in after.cases and not _ran_apart(case, before, after)
        for (measure, earlier), (_, later) in _paired(case, runs, after.cases[case])
    ]


def difference(case: str, measure: str, before: Sequence[float], after: Sequence[float]) -> Difference:
    """Compare the repeats of one measure; all above zero. Rates end in `/s`, all else is better when lower."""
    earlier, later = _logs(before), _logs(after)
    change = fmean(later) - fmean(earlier)
    sign = 1 if measure.endswith("/s") else -1
    half = _half_width(earlier, later)
    bounds = None if half is None else sorted((sign * change - half, sign * change + half))
    return Difference(
        case=case,
        measure=measure,
        before=math.exp(fmean(earlier)),
        after=math.exp(fmean(later)),
        repeats=(len(before), len(after)),
        speed=math.exp(sign * change),
        interval=None if bounds is None else Interval(*map(math.exp, bounds)),
    )


def _ran_apart(case: str, before: Report, after: Report) -> bool:
    rates = before.rates(case) + after.rates(case)
    return rate_was_set(case) and max(rates) > (1 + RATES_APART) * min(rates)


def unlike(before: Report, after: Report) -> Iterator[str]:
    """Say what makes a comparison doubtful."""
    if before.machine != after.machine:
        yield f"the machines differ: {before.machine} and {after.machine}"
    for name in sorted(before.versions.keys() & after.versions.keys()):
        if before.versions[name] != after.versions[name] and not name.startswith("git"):
            yield f"{name} differs: {before.versions[name]} and {after.versions[name]}"
    for case in before.cases.keys() & after.cases.keys():
        counts = [{run.asked for run in report.cases[case]} for report in (before, after)]
        if not rate_was_set(case) and counts[0] != counts[1]:
            yield f"{case} ran with other numbers of events: {sorted(counts[0])} and {sorted(counts[1])}"
        if _ran_apart(case, before, after):
            rates = [" ".join(f"{rate:,.0f}" for rate in report.rates(case)) for report in (before, after)]
            yield f"{case} is not compared, it ran at {rates[0]} and at {rates[1]} a second: give both one --rate"
        yield from _chosen_apart(case, before, after)
    for note, cases in _ways(before, after).items():
        yield f"measured in two ways, {', '.join(sorted(cases))}: of one report only it is said: {note}"
    for name, report in (("first", before), ("second", after)):
        if report.faults:
            yield f"in the {name}, the books were not as expected: {report.faults[0]}"
    for each in compare(before, after):
        if each.case.startswith("reference/") and each.verdict in (FASTER, SLOWER):
            yield f"{each.case} itself is {each.verdict} ({each.speed:.2f}): the machine may be what changed"
    if missing := before.cases.keys() - after.cases.keys():
        yield f"only in the first: {', '.join(sorted(missing))}"
    if missing := after.cases.keys() - before.cases.keys():
        yield f"only in the second: {', '.join(sorted(missing))}"


def _chosen_apart(case: str, before: Report, after: Report) -> Iterator[str]:
    earlier, later = before.cases[case][0].settings, after.cases[case][0].settings
    for name in CHOSEN:
        given = [settings.get(name) or "not set" for settings in (earlier, later)]
        if str(given[0]) != str(given[1]):
            yield f"{case} ran with another `{name}`: {given[0]} and {given[1]}"


def _ways(before: Report, after: Report) -> dict[str, list[str]]:
    """Give what is noted of cases in one of two reports only, with those cases."""
    found: dict[str, list[str]] = {}
    for case in before.cases.keys() & after.cases.keys():
        earlier, later = (
            {note for run in report.cases[case] for note in run.notes} for report in (before, after)
        )
        for note in sorted(earlier ^ later):
            found.setdefault(note, []).append(case)
    return found


def _paired(
    case: str, before: Sequence[Measured], after: Sequence[Measured]
) -> Iterator[tuple[tuple[str, list[float]], tuple[str, list[float]]]]:
    earlier, later = _measures(case, before), _measures(case, after)
    for measure in earlier:
        if measure in later:
            yield (measure, earlier[measure]), (measure, later[measure])


def _measures(case: str, runs: Sequence[Measured]) -> dict[str, list[float]]:
    """Give what is compared of a case: its rate, or if that was set, the 99th percentiles; what is zero is not."""
    found: dict[str, list[float]] = {}
    for run in runs:
        if not rate_was_set(case) and run.rate > 0:
            found.setdefault("events/s", []).append(run.rate)
        for name, latency in run.latencies.items():
            if latency.count and latency.p99_ms > 0:
                found.setdefault(f"{name}, p99 ms", []).append(latency.p99_ms)
    return found


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(value) for value in values]


def _half_width(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Half of Welch's interval of the difference of two means; None if one was measured once only."""
    if min(len(before), len(after)) < 2:
        return None
    parts = [(variance(values) / len(values), len(values) - 1) for values in (before, after)]
    error = sum(part for part, _ in parts)
    if error == 0:
        return 0.0
    freedom = error**2 / sum(part**2 / degrees for part, degrees in parts)
    return student(CONFIDENCE, round(freedom, 2)) * math.sqrt(error)


@lru_cache
def student(confidence: float, freedom: float) -> float:
    """Give the t between minus and plus of which Student's distribution has that share; freedom at least 1.

    With t = sqrt(freedom) * tan(a), its density is that of cos(a) ** (freedom - 1), which is easily added up.
    """
    step = math.pi / 2 / _STEPS
    areas = [math.cos((number + 0.5) * step) ** (freedom - 1) for number in range(_STEPS)]
    wanted, sum_ = confidence * sum(areas), 0.0
    for number, area in enumerate(areas):
        if sum_ + area >= wanted:
            angle = (number + (wanted - sum_) / area) * step
            return math.sqrt(freedom) * math.tan(angle)
        sum_ += area
    raise ValueError(f"no such confidence: {confidence}")
