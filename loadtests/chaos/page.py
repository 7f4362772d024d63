"""A run as one HTML page that needs nothing else: faults over rate and lag, and a verdict for each of everything."""

import json
from collections.abc import Iterator, Sequence
from html import escape

from loadtests.bench.page import SECONDS, STYLE, section, table
from loadtests.bench.plots import Axis, Line, Mark, lines
from loadtests.chaos.lag import Sample
from loadtests.chaos.results import INVARIANTS, Injected, Report, Scene

WIDTH = 1000
EVERY_S = 2.0
FINDINGS_MAX = 20
TITLE = "What the ledger survived"


def page(report: Report) -> str:
    """Give the page."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{TITLE}</title><style>{STYLE}</style>"
    )
    body = "".join([f"<h1>{TITLE}</h1>", *_about(report), *_sections(report)])
    return f"<!doctype html><html lang=en><head>{head}</head><body>{body}</body></html>\n"


def _about(report: Report) -> Iterator[str]:
    sent = sum(scene.sent for scene in report.scenes)
    yield (
        f"<p class=faint>{escape(report.started_at)} · seed {report.seed} · {report.seconds:g} s · "
        f"{report.rate:g} records a second · {sent:,} records</p>"
    )
    told = escape(report.coverage.said)
    yield f"<p class={'good' if report.ok else 'bad'}>{told}. {_kept(report)}</p>"


def _kept(report: Report) -> str:
    found = report.invariants
    broken = [name for name, checked in found.items() if not checked.ok]
    if broken:
        return f"Violated: {', '.join(broken)}."
    looked_at = sum(checked.checked > 0 for checked in found.values())
    return f"{looked_at} invariants were checked, and hold." if looked_at else "No invariant was checked."


def _sections(report: Report) -> Iterator[str]:
    yield section("Invariants", table(_invariant_rows(report)), _findings(report))
    yield section("Faults", table(_fault_rows(report.faults)))
    for scene in report.scenes:
        yield section(f"Scene: {scene.name}", *_scene(scene))
    yield section("Notes", "".join(f"<p>{escape(note)}</p>" for note in _notes(report)))


def _invariant_rows(report: Report) -> list[list[str]]:
    rows = [["", "invariant", "verdict", "checked", "findings"]]
    for name, text in INVARIANTS.items():
        found = report.invariants.get(name)
        if found is None:
            rows.append([name, text, "not checked", "", ""])
        else:
            rows.append([name, text, found.verdict, f"{found.checked:,}", f"{len(found.findings):,}"])
    return rows


def _findings(report: Report) -> str:
    items = [
        f"<li>{name}: {escape(finding if isinstance(finding, str) else json.dumps(finding))}</li>"
        for name, checked in report.invariants.items()
        for finding in checked.findings[:FINDINGS_MAX]
    ]
    why = [f"<li>{escape(scene.name)}: {escape(each)}</li>" for scene in report.scenes for each in scene.why]
    return f"<ul>{''.join([*items, *why])}</ul>" if items or why else ""


def _fault_rows(faults: Sequence[Injected]) -> list[list[str]]:
    rows = [["", "fault", "verdict", "took s", "recovered in s", "restarts", "how"]]
    for each in faults:
        recovered = "" if each.recovered_in_s is None else f"{each.recovered_in_s:g}"
        took = f"{each.healed_s - each.began_s:.0f}" if each.verdict != "not run" else ""
        restarts = ", ".join(f"{name} {count}" for name, count in each.restarts.items())
        how = each.why or json.dumps(each.did, ensure_ascii=False)
        rows.append([each.name, each.title, each.verdict, took, recovered, restarts, how])
    return rows


def _scene(scene: Scene) -> Iterator[str]:
    marks = [Mark(each.began_s, each.name, each.healed_s) for each in scene.faults if each.healed_s]
    up = Axis("records")
    yield lines("Lag of each group", _lags(scene.samples), SECONDS, up, marks, WIDTH)
    yield lines(
        "Sent, and handled by posting", _rates(scene.samples), SECONDS, Axis("records/s"), marks, WIDTH
    )
    memory = [
        Line(name, points, at)
        for at, (name, points) in enumerate(scene.memory_mib.items())
        if len(points) > 2
    ]
    yield lines("Memory of each process", memory, SECONDS, Axis("MiB"), marks, WIDTH)


def _lags(samples: Sequence[Sample]) -> list[Line]:
    groups = list({group: None for sample in samples for group in sample.lags or {}})
    return [
        Line(group, [(each.at_s, float(each.lags[group])) for each in samples if each.lags], at)
        for at, group in enumerate(groups)
    ]


def _rates(samples: Sequence[Sample]) -> list[Line]:
    sent, handled = list[tuple[float, float]](), list[tuple[float, float]]()
    known = [each for each in samples if each.done]
    last = known[0] if known else None
    for each in known:
        if last is not None and (took := each.at_s - last.at_s) >= EVERY_S:
            sent.append((each.at_s, (each.sent - last.sent) / took))
            handled.append((each.at_s, (_posted(each) - _posted(last)) / took))
            last = each
    return [Line("sent", sent, 0), Line("handled", handled, 1)]


def _posted(sample: Sample) -> int:
    """Say how many records the first group, which posts, has handled."""
    return sum(next(iter((sample.done or {}).values()), []))


def _notes(report: Report) -> Iterator[str]:
    yield from report.notes
    for name, checked in report.invariants.items():
        yield from (f"{name}: {note}" for note in dict.fromkeys(checked.notes))
