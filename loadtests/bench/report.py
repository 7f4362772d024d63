"""Reports and comparisons as text for a terminal."""

from collections.abc import Iterator, Sequence
from statistics import median

from loadtests.bench.compare import Difference, rate_was_set
from loadtests.bench.results import Measured, Percentiles, Report, Target
from loadtests.bench.targets import MEMORY, RAW, ratios

Row = Sequence[str]

HOLDS = {True: "holds", False: "MISSED", None: "not measured"}
TOO_SHORT = "too short to tell"
COUNTED = (
    "of a drain, counted from the first look at which something was handled, and every worker of posting there, "
    "to when the last was published"
)
TIMES = "Seconds of processor time, and of the steps of posting with their waits (of the run whose rate is the median)"
LATENCIES = ("p50", "p90", "p99", "p99.9", "max")


def render(report: Report) -> str:
    """Give everything that was found, in a screen or two."""
    parts = [
        _heading(report),
        _section(f"Rates; {COUNTED}", case_rows(report)),
        _section("Latencies, in milliseconds (the run whose p99 is the median)", latency_rows(report)),
        _section(TIMES, cpu_rows(report)),
        _section("Cost of a million events", cost_rows(report)),
        _section("Memory, the most that each process had, in MiB", memory_rows(report)),
        _section("Targets", target_rows(report.targets)) if report.targets else "",
        *(f"Note: {note}" for note in report.notes),
        _books(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_comparison(found: Sequence[Difference], doubts: Sequence[str], fail_below: float | None) -> str:
    """Give each measure of both reports, and what the repeats show."""
    parts = [
        _section("Before and after: above 1 is faster, with 95 % intervals (Welch)", comparison_rows(found)),
        *(f"Note: {doubt}" for doubt in doubts),
        *(
            f"SLOWER than {fail_below:g}: {each.case}, {each.measure}"
            for each in found
            if fail_below is not None and each.shown_below(fail_below)
        ),
    ]
    return "\n\n".join(parts) + "\n"


def case_rows(report: Report) -> list[Row]:
    """One line a case: its rate with its repeats, and as a ratio to raw."""
    rows: list[Row] = [("case", "events/s", "from", "to", "runs", "÷ raw", "counted", "books")]
    for case, runs in report.cases.items():
        rates = [run.rate for run in runs]
        to_raw = ratios(rates, report.rates(RAW)) if _is_like_raw(case) else []
        shown = f"{median(to_raw):.2f}" if to_raw else ""
        spread = [number(bound) for bound in (median(rates), min(rates), max(rates))]
        rows.append((case, *spread, str(len(runs)), shown, counted(typical(runs)), books(runs)))
    return rows


def _is_like_raw(case: str) -> bool:
    return case != RAW and not rate_was_set(case) and not case.startswith("http/")


def counted(run: Measured) -> str:
    """Say how many events the rate is of, and how long they took."""
    of = f" of {run.asked:,}" if run.asked != run.events else ""
    return f"{run.events:,}{of} in {run.seconds:.1f} s"


def books(runs: Sequence[Measured]) -> str:
    """Say in a word or two whether the end states were as expected."""
    faults = sum(len(run.checked or ()) for run in runs)
    if faults:
        return f"{faults} FAULTS"
    unchecked = sum(run.checked is None for run in runs)
    if not unchecked:
        return "as expected"
    return "not checked" if unchecked == len(runs) else f"{unchecked} of {len(runs)} not checked"


def latency_rows(report: Report) -> list[Row]:
    """One line a case and latency."""
    rows: list[Row] = [("case", "latency", *LATENCIES, "count")]
    for case, runs in report.cases.items():
        for name in {name: None for run in runs for name in run.latencies}:
            told = typical_latency(runs, name)
            values = (told.p50_ms, told.p90_ms, told.p99_ms, told.p999_ms, told.max_ms)
            rows.append((case, spoken(name), *(milliseconds(value) for value in values), f"{told.count:,}"))
    return rows


def typical_latency(runs: Sequence[Measured], name: str) -> Percentiles:
    """Give the percentiles of the run whose 99th is the (upper) median."""
    measured = sorted(
        (run.latencies[name] for run in runs if name in run.latencies), key=lambda each: each.p99_ms
    )
    return measured[len(measured) // 2]


def typical(runs: Sequence[Measured]) -> Measured:
    """Give the run whose rate is the (upper) median."""
    return sorted(runs, key=lambda run: run.rate)[len(runs) // 2]


def cpu_rows(report: Report) -> list[Row]:
    """One line a case: processor time by process, the largest first; and the time of posting by step."""
    rows: list[Row] = [("case", "wall", "by process", "steps, with waits")]
    for case, runs in report.cases.items():
        run = typical(runs)
        if run.cpu_s or run.steps_s:
            rows.append((case, f"{run.seconds:.1f}", _shares(run.cpu_s), _shares(run.steps_s)))
    return rows


def cost_rows(report: Report) -> list[Row]:
    """One line a case, one column a kind of cost without its parts, scaled to a million events; and processor time."""
    costs = {case: run for case, runs in report.cases.items() if (run := typical(runs)).cost}
    names = list({name: None for run in costs.values() for name in run.cost if "." not in name})
    rows: list[Row] = [("case", *map(spoken, names), "processor time")]
    for case, run in costs.items():
        scaled = {name: value * 1e6 / max(1, run.events) for name, value in run.cost.items()}
        busy_s = (
            sum(took_s for name, took_s in run.cpu_s.items() if name != "idle") * 1e6 / max(1, run.events)
        )
        told = (amount(name, scaled[name]) if name in scaled else "" for name in names)
        rows.append((case, *told, f"{number(busy_s)} s" if busy_s else ""))
    return rows


def memory_rows(report: Report) -> list[Row]:
    """One line a case: the most memory of each process while it was measured, the largest first."""
    rows: list[Row] = [("case", "by process")]
    for case, runs in report.cases.items():
        series = typical(runs).series
        most = {
            name.removeprefix(MEMORY): max(point.value for point in points)
            for name, points in series.items()
            if name.startswith(MEMORY) and points
        }
        if most:
            ordered = sorted(most.items(), key=lambda each: -each[1])
            rows.append((case, ", ".join(f"{name} {value:,.0f}" for name, value in ordered)))
    return rows


def target_rows(targets: Sequence[Target]) -> list[Row]:
    """One line a target: what is asked, what each repeat reached."""
    rows: list[Row] = [("target", "at least", "aim", "found", "holds", "aim reached", "how")]
    for target in targets:
        sign = "≤ " if target.lower_is_better else ""
        bounds = ("" if bound is None else sign + number(bound) for bound in (target.at_least, target.aim))
        found = " · ".join(number(value) for value in target.found)
        unit = f" {target.unit}" if target.unit and found else ""
        rows.append((target.name, *bounds, found + unit, held(target), reached(target), target.of))
    return rows


def held(target: Target) -> str:
    """Say whether every repeat held."""
    if target.at_least is None and target.found:
        return "no floor"
    return TOO_SHORT if target.holds is None and target.found else HOLDS[target.holds]


def reached(target: Target) -> str:
    """Say whether every repeat reached the aim."""
    return {True: "yes", False: "no", None: ""}[target.aim_holds]


def comparison_rows(found: Sequence[Difference]) -> list[Row]:
    """One line a measure."""
    rows: list[Row] = [("case", "measure", "before", "after", "runs", "speed", "from", "to", "")]
    for each in found:
        bounds = (f"{each.interval.low:.2f}", f"{each.interval.high:.2f}") if each.interval else ("", "")
        runs = f"{each.repeats[0]} and {each.repeats[1]}"
        values = (number(each.before), number(each.after))
        rows.append((each.case, each.measure, *values, runs, f"{each.speed:.2f}", *bounds, each.verdict))
    return rows


def number(value: float) -> str:
    """Show a number with as many digits as mean something."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 or value == int(value) else f"{value:.3g}"


def milliseconds(value: float) -> str:
    """Show milliseconds."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def amount(name: str, value: float) -> str:
    """Show an amount in the unit that its name ends with."""
    if name.endswith("bytes"):
        return f"{value / 1024**2:,.1f} MiB"
    return f"{number(value)} s" if name.endswith("_s") else number(value)


def spoken(name: str) -> str:
    """Show a name of the code."""
    return name.replace("_", " ")


def _shares(seconds: dict[str, float]) -> str:
    ordered = sorted(seconds.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} {value:.1f}" for name, value in ordered if value >= 0.05)


def _heading(report: Report) -> str:
    machine = report.machine
    lines = (
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_mib:,} MiB, {machine.kernel}",
        ", ".join(f"{name} {version}" for name, version in report.versions.items()),
        f"started {report.started_at}",
    )
    return "\n".join(lines)


def _section(title: str, rows: Sequence[Row]) -> str:
    return "\n".join((title, *aligned(rows))) if len(rows) > 1 else ""


def aligned(rows: Sequence[Row]) -> Iterator[str]:
    """Set columns under each other: numbers to the right, the rest to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [all(not cell or is_number(cell) for cell in column[1:]) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, right, strict=True)
        yield (
            "  "
            + "  ".join(
                f"{cell:>{width}}" if numeric else f"{cell:<{width}}" for cell, width, numeric in cells
            ).rstrip()
        )


def is_number(cell: str) -> bool:
    """Whether a cell reads as one number."""
    return cell.removeprefix("≤ ").replace(",", "").replace(".", "").isdigit()


def _books(report: Report) -> str:
    if report.faults:
        return "\n".join(("The books are NOT as expected:", *(f"  {fault}" for fault in report.faults)))
    unchecked = sum(run.checked is None for runs in report.cases.values() for run in runs)
    checked = sum(len(runs) for runs in report.cases.values()) - unchecked
    return f"The books were as expected after {checked} runs; {unchecked} runs were not checked or have no books."
