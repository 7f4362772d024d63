"""A report as one HTML page that needs nothing else, for light and dark screens."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from statistics import median
from typing import Any

from loadtests.bench.compare import SET_RATES, rate_was_set
from loadtests.bench.plots import COLOURS, Axis, Line, Mark, bars, lines, short
from loadtests.bench.report import (
    COUNTED,
    LATENCIES,
    Row,
    case_rows,
    cost_rows,
    is_number,
    latency_rows,
    memory_rows,
    number,
    spoken,
    target_rows,
    typical,
    typical_latency,
)
from loadtests.bench.results import Measured, Point, Report
from loadtests.bench.targets import MEMORY, RAW, SOAK, missed

GROWTH, RAMP, PACED, DRAIN = "growth/", "ramp/", "paced/", "drain/"
IDLE, HARNESS = "idle", "what measures"
MEASURING = ("load", "sender", "observer", "client")
KINDS = {
    "worker": "posting",
    "windows": "windows",
    "payments": "payments",
    "chain": "chain",
    **dict.fromkeys(MEASURING, HARNESS),
}
PROCESSES = ("postgres", "kafka", "posting", "windows", "payments", HARNESS, "api", IDLE)
NINES = [(float(at), name) for at, name in enumerate(LATENCIES)]
SECONDS = Axis("seconds")

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #59636e; --paper: #fff; --line: #d1d9e0; --card: #f6f8fa;
--good: #1a7f37; --bad: #c62828; --c0: #2468c7; --c1: #d9730d; --c2: #2e8b57; --c3: #b5406f; --c4: #7655c9;
--c5: #92781a; --c6: #1492a3; --c7: #7a828c;
--c8: #5a8f00; --c9: #a0522d; --c10: #2b2f36; --c11: #e0409f }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #9198a1; --paper: #0d1117; --line: #30373f;
--card: #161b22; --good: #4ac26b; --bad: #ff7b72; --c0: #6cb0ff; --c1: #ff9f4a; --c2: #5fcf8f; --c3: #f47fb0;
--c4: #b39cff; --c5: #d9c05a; --c6: #4fd0e0; --c7: #a6adb5; --c8: #a4d65e; --c9: #d9a06b;
--c10: #e6edf3; --c11: #ff9ad5 } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 66rem; padding: 0 1rem;
color: var(--ink); background: var(--paper) }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem }
p { margin: .4rem 0 } .faint { color: var(--faint) } small { color: var(--faint) }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: 14px; width: 100% }
th { color: var(--faint); font-weight: 500 } th, td { padding: .3rem .6rem; text-align: left;
border-bottom: 1px solid var(--line); vertical-align: top } th.n, td.n { text-align: right;
font-variant-numeric: tabular-nums; white-space: nowrap }
.one { white-space: nowrap } .good { color: var(--good); font-weight: 600 } .bad { color: var(--bad); font-weight: 600 }
.plots { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: .6rem 0; padding: .7rem .8rem;
background: var(--card); border: 1px solid var(--line); border-radius: 8px; max-width: 100%; box-sizing: border-box }
figcaption { font-weight: 600; font-size: 14px } .keys { font-size: 13px; margin: .2rem 0 }
.key { margin-right: 1rem; white-space: nowrap } .key i { display: inline-block; width: .7rem; height: .7rem;
border-radius: 2px; margin-right: .3rem }
svg { max-width: 100%; height: auto; display: block } svg text { font: 12px system-ui, sans-serif; fill: var(--faint) }
svg text.strong { fill: var(--ink) } .grid { stroke: var(--line) } .mark { stroke: var(--faint);
stroke-dasharray: 3 3 } .band { fill: var(--faint); opacity: .13 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round }
""" + "".join(
    f".l{n} {{ stroke: var(--c{n}) }} .f{n} {{ fill: var(--c{n}) }} .b{n} {{ background: var(--c{n}) }}\n"
    for n in range(COLOURS)
)


def page(report: Report) -> str:
    """Give the page."""
    title = "What the ledger does, how fast, and at what cost"
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    body = "".join([f"<h1>{escape(title)}</h1>", *_about(report), *_sections(report)])
    return f"<!doctype html><html lang=en><head>{head}</head><body>{body}</body></html>\n"


def _about(report: Report) -> Iterator[str]:
    machine = report.machine
    yield (
        f"<p class=faint>{escape(machine.cpu)} · {machine.cores} cores · {machine.memory_mib:,} MiB · "
        f"{escape(machine.kernel)} · {escape(report.started_at)}</p>"
    )
    versions = " · ".join(f"{name} {version}" for name, version in report.versions.items())
    yield f"<p class=faint>{escape(versions)}</p>"
    yield _books(report)
    yield _verdict(report)


def _books(report: Report) -> str:
    if report.faults:
        faults = "".join(f"<li>{escape(fault)}</li>" for fault in report.faults)
        return f"<p class=bad>The books are not as expected.</p><ul>{faults}</ul>"
    checked = sum(run.checked is not None for runs in report.cases.values() for run in runs)
    if not checked:
        return "<p>No books were checked.</p>"
    return f"<p class=good>After {checked} runs the books were what their workload expects, to the last unit.</p>"


def _verdict(report: Report) -> str:
    measured = [target for target in report.targets if target.holds is not None]
    if not measured:
        return ""
    failed = missed(report.targets)
    if not failed:
        asked = sum(target.at_least is not None for target in report.targets)
        return f"<p class=good>{len(measured)} of {asked} targets were measured, and hold.</p>"
    names = ", ".join(target.name for target in failed)
    return f"<p class=bad>{len(failed)} of {len(measured)} targets that were measured are missed: {escape(names)}.</p>"


def _sections(report: Report) -> Iterator[str]:
    yield section("Targets", table(target_rows(report.targets)))
    how = f"<p class=faint>Events a second; {escape(COUNTED)}.</p>"
    yield section(
        "Rates", how, _rate_bars(report), table(case_rows(report)), _grouped(_rates_over_time(report))
    )
    yield section(
        "Latencies",
        _grouped(_percentiles(report)),
        table(latency_rows(report)),
        _grouped(_by_second(report)),
    )
    yield section("The knee", _grouped(_knees(report)))
    yield section("Growth", _growth(report))
    yield section("Where the time goes", _cpu(report), _steps(report))
    yield section("Memory", _grouped(_memory(report)), table(memory_rows(report)))
    yield section("Cost of a million events", table(cost_rows(report)))
    yield section("Notes", "".join(f"<p>{escape(note)}</p>" for note in _notes(report)))


def section(title: str, *parts: str) -> str:
    """Put parts under a title; nothing where there are none."""
    shown = "".join(parts)
    return f"<h2>{escape(title)}</h2>{shown}" if shown else ""


def _grouped(figures: Iterable[str]) -> str:
    shown = "".join(figures)
    return f"<div class=plots>{shown}</div>" if shown else ""


def table(rows: Sequence[Row]) -> str:
    """Give a table whose first row names its columns; nothing where there is no other."""
    if len(rows) < 2:
        return ""
    kinds = [
        " class=n" if all(not cell or is_number(cell) for cell in column[1:]) else ""
        for column in zip(*rows, strict=True)
    ]
    head = "".join(f"<th{kind}>{escape(cell)}</th>" for kind, cell in zip(kinds, rows[0], strict=True))
    body = "".join(f"<tr>{''.join(map(_cell, kinds, row, rows[0]))}</tr>" for row in rows[1:])
    return f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"


def _cell(kind: str, cell: str, column: str) -> str:
    if cell in ("holds", "as expected", "ok"):
        kind = " class=good"
    elif cell in ("MISSED", "violated") or cell.endswith("FAULTS"):
        kind = " class=bad"
    elif column == "found":
        kind = " class=one"
    shown = f"<small>{escape(cell)}</small>" if column == "how" else escape(cell)
    return f"<td{kind}>{shown}</td>"


def _rate_bars(report: Report) -> str:
    """All rates that were found, not set; on one scale, so what is far faster than the ledger is left to the table."""
    rates = {case: rate for case in report.cases if not rate_was_set(case) and (rate := report.rate(case))}
    ours = [rate for case, rate in rates.items() if case == RAW or not case.startswith("reference/")]
    most = 4 * max(ours, default=max(rates.values(), default=0.0))
    shown = {case: {"events a second": rate} for case, rate in rates.items() if rate <= most}
    return bars("Rates, the median of each case", shown, "events/s", number)


def _rates_over_time(report: Report) -> Iterator[str]:
    for case, runs in report.cases.items():
        if case.startswith((DRAIN, SOAK)):
            yield _small(f"{case}: rate", _repeats(runs, "rate"), SECONDS, Axis("events/s"))


def _percentiles(report: Report) -> Iterator[str]:
    for case, runs in report.cases.items():
        names = list({name: None for run in runs for name in run.latencies})
        drawn = [
            Line(spoken(name), _nines(runs, name), colour, dots=True) for colour, name in enumerate(names)
        ]
        across = Axis("", ticks=NINES)
        yield _small(case, drawn, across, Axis("ms, logarithmic", logarithmic=True))


def _nines(runs: Sequence[Measured], name: str) -> list[tuple[float, float]]:
    each = typical_latency(runs, name)
    values = (each.p50_ms, each.p90_ms, each.p99_ms, each.p999_ms, each.max_ms)
    return [(float(at), value) for at, value in enumerate(values) if value > 0]


def _by_second(report: Report) -> Iterator[str]:
    for case, runs in report.cases.items():
        run = typical(runs)
        drawn = [
            Line(f"p{percentile}", _pairs(run.series.get(f"committed_p{percentile}_ms", [])), colour)
            for colour, percentile in enumerate((50, 99))
        ]
        if case.startswith(SET_RATES):
            up = Axis("ms, logarithmic", logarithmic=True)
            yield _small(f"{case}: published to committed, by second", drawn, SECONDS, up)


def _knees(report: Report) -> Iterator[str]:
    for case, runs in report.cases.items():
        if not case.startswith(RAMP):
            continue
        marks = [Mark(run.rate, f"knee {short(run.rate)}") for run in runs[-1:]]
        across = Axis("events/s due")
        handled = _repeats(runs, "handled_at", dots=True)
        most = max((point[0] for line in handled for point in line.points), default=0.0)
        kept_up = Line("all that was due", [(0.0, 0.0), (most, most)], 7, dashed=True)
        yield _small(f"{case}: handled", [kept_up, *handled], across, Axis("events/s"), marks)
        slow = [
            Line(f"p{percentile}", _pairs(run.series.get(f"p{percentile}_ms_at", [])), colour, dots=True)
            for run in runs
            for colour, percentile in enumerate((50, 99))
        ]
        up = Axis("ms, logarithmic", logarithmic=True)
        yield _small(f"{case}: published to committed", slow, across, up, marks)
        yield _small(
            f"{case}: lag at the end of a step",
            _repeats(runs, "lag_at", dots=True),
            across,
            Axis("events"),
            marks,
        )


def _growth(report: Report) -> str:
    """The rate by how much is in the books; the axis is by rank, for it begins with nothing."""
    found = sorted(
        (int(case.rpartition("@")[2]), runs)
        for case, runs in report.cases.items()
        if case.startswith(GROWTH) and case.rpartition("@")[2].isdigit()
    )
    ticks = [(float(at), short(entries)) for at, (entries, _) in enumerate(found)]
    each = [(float(at), run.rate) for at, (_, runs) in enumerate(found) for run in runs]
    middle = [(float(at), median(run.rate for run in runs)) for at, (_, runs) in enumerate(found)]
    drawn = [Line("the median", middle, 0), *(Line("a run", [point], 1, dots=True) for point in each)]
    across = Axis("entries there before", ticks=ticks)
    return lines("Rate by what the books hold already", drawn, across, Axis("events/s")) if found else ""


def _cpu(report: Report) -> str:
    """What a million events take of each process; and of all cases, how busy the processors were."""
    runs = {case: run for case, runs in report.cases.items() if (run := typical(runs)).cpu_s}
    rows = {
        case: {name: _a_million(value, run) for name, value in _kinds(run.cpu_s).items() if name != IDLE}
        for case, run in runs.items()
        if _is_drained(case)
    }
    shares = {case: _shares(_kinds(run.cpu_s)) for case, run in runs.items()}
    title = "Processor time by process"
    return bars(title, rows, "seconds for a million events", number, PROCESSES) + bars(
        f"{title}, of what these processes took and what was idle", shares, "%", number, PROCESSES
    )


def _kinds(cpu_s: Mapping[str, float]) -> dict[str, float]:
    """Add up what is of one kind: workers that do the same, and all that measures."""
    found: dict[str, float] = {}
    for name, seconds in cpu_s.items():
        kind = KINDS.get(name.rstrip("-0123456789"), name)
        found[kind] = found.get(kind, 0.0) + seconds
    return found


def _is_drained(case: str) -> bool:
    return case.startswith((DRAIN, RAW))


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    whole = sum(seconds.values()) or 1.0
    return {name: 100 * value / whole for name, value in seconds.items()}


def _steps(report: Report) -> str:
    rows = {
        case: {name: _a_million(value, run) for name, value in run.steps_s.items()}
        for case, runs in report.cases.items()
        if (run := typical(runs)).steps_s and _is_drained(case)
    }
    title = "Time of the steps of posting, waiting included; of partitions side by side it is added up"
    return bars(title, rows, "seconds for a million events", number)


def _a_million(value: float, run: Measured) -> float:
    return value * 1e6 / max(1, run.events)


def _memory(report: Report) -> Iterator[str]:
    for case, runs in report.cases.items():
        series = typical(runs).series
        names = [name for name in series if name.startswith(MEMORY)]
        drawn = [Line(name.removeprefix(MEMORY), _pairs(series[name]), at) for at, name in enumerate(names)]
        if case.startswith((DRAIN, SOAK)) and any(len(line.points) > 2 for line in drawn):
            yield _small(case, drawn, SECONDS, Axis("MiB"))


def _repeats(runs: Sequence[Measured], name: str, *, dots: bool = False) -> list[Line]:
    return [
        Line(f"run {at}", _pairs(run.series.get(name, [])), at - 1, dots=dots)
        for at, run in enumerate(runs, 1)
        if run.series.get(name)
    ]


def _pairs(points: Sequence[Point]) -> list[tuple[float, float]]:
    return [(point.at_s, point.value) for point in points if point.at_s >= 0]


def _small(title: str, drawn: Sequence[Line], across: Axis, up: Axis, marks: Sequence[Mark] = ()) -> str:
    """Plot what stands beside another of its kind; what has no points is not named."""
    return lines(title, [line for line in drawn if line.points], across, up, marks, width=460)


def _notes(report: Report) -> Iterator[str]:
    yield from report.notes
    said: dict[Any, None] = {
        run.settings["moments"]: None
        for runs in report.cases.values()
        for run in runs
        if "moments" in run.settings
    }
    yield from (f"Moments: {moments}" for moments in said)
