"""A report says what was found: in the terminal, and as a page that needs nothing else."""

import re
from html.parser import HTMLParser

import pytest

from loadtests.bench.page import page
from loadtests.bench.plots import Axis, Line, lines, nice, short
from loadtests.bench.report import render
from loadtests.bench.results import EVENTS_ASKED, Point, Report
from loadtests.bench.targets import judge
from tests.loadtests.reports import report_of, run

MISSED = "uniform, drain, as a ratio to raw"
EMPTY = {"meta", "path", "circle", "rect", "polyline", "i"}


def full() -> Report:
    report = report_of(drain_uniform=[40.0, 41.0], reference_raw=[100.0, 100.0], growth_uniform__0=[10.0])
    report.add(run("growth/uniform@1000000", 9.0))
    report.add(run("paced/uniform@half", 5000, published_to_committed=33.0, published_to_window=700.0))
    measured = run("ramp/uniform", 12_000)
    measured.series = {
        "handled_at": [Point(5000, 5000), Point(12_000, 12_000), Point(13_000, 12_100)],
        "p99_ms_at": [Point(5000, 10), Point(12_000, 30), Point(13_000, 900)],
    }
    report.add(measured)
    drained = report.cases["drain/uniform"][1]
    drained.series = {
        "rate": [Point(0, 39), Point(1, 41)],
        "memory_mib.worker-1": [Point(n, 90 + n) for n in range(5)],
    }
    drained.cpu_s = {"kafka": 1.0, "postgres": 5.0, "idle": 3.0}
    drained.steps_s = {"decode": 1.0, "post": 6.0}
    drained.cost = {"wal_bytes": 3.0 * 1024**2, "wal_bytes.inner": 1.0}
    report.targets = judge(report)
    return report


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if name in line)


def test_a_missed_target_is_said_to_be_missed() -> None:
    report = full()

    assert "MISSED" in line_of(render(report), MISSED)
    assert "<td class=bad>MISSED</td>" in page(report)
    assert f"are missed: {MISSED}" in page(report)


def test_a_target_that_holds_is_said_to_hold() -> None:
    report = report_of(drain_uniform=[60.0], reference_raw=[100.0])
    report.targets = judge(report)[:1]

    assert " holds " in line_of(render(report), MISSED)
    assert "MISSED" not in render(report) + page(report)
    assert "1 of 1 targets were measured, and hold" in page(report)


def test_books_that_are_wrong_are_told_first() -> None:
    report = full()
    report.cases["drain/uniform"][1].checked = ["balance acme/<x>: found 1, expected 2"]

    assert "The books are NOT as expected" in render(report)
    assert "drain/uniform, run 2: balance acme/<x>: found 1" in render(report)
    assert "1 FAULTS" in line_of(render(report), "drain/uniform ")
    assert "The books are not as expected" in page(report)
    assert "acme/&lt;x&gt;" in page(report)


def test_books_nobody_looked_at_are_not_said_to_be_right() -> None:
    report = report_of(drain_uniform=[60.0])
    report.cases["drain/uniform"][0].checked = None

    assert "as expected after 0 runs; 1 runs were not checked" in render(report)
    assert "not checked" in line_of(render(report), "drain/uniform")
    assert "No books were checked" in page(report)


def test_every_rate_stands_with_its_repeats_and_its_ratio() -> None:
    row = line_of(render(full()), "drain/uniform ").split()

    assert row[1:6] == ["40.5", "40", "41", "2", "0.41"]


def test_how_much_is_counted_stands_beside_the_rate() -> None:
    report = full()
    for each in report.cases["drain/uniform"]:
        each.settings[EVENTS_ASKED] = 2000

    assert "1,000 of 2,000 in 10.0 s" in line_of(render(report), "drain/uniform ")
    assert "  1,000 in 10.0 s" in line_of(render(report), "reference/raw ")


def test_costs_are_of_a_million_events() -> None:
    assert "3,000.0 MiB" in line_of(render(full()).partition("Cost of")[2], "drain/uniform")
    assert "inner" not in render(full())


def test_processor_time_is_of_a_million_events_too() -> None:
    assert line_of(render(full()).partition("Cost of")[2], "drain/uniform").split()[-2:] == ["6,000", "s"]


def test_the_most_memory_of_each_process_is_told() -> None:
    assert line_of(render(full()).partition("Memory, ")[2], "drain/uniform").split()[1:] == ["worker-1", "94"]
    assert "worker-1 94" in page(full())


def test_the_page_asks_nobody_for_anything() -> None:
    text = page(full())

    assert re.findall(r"https?://|src=|href=|url\(|@import|<script|<link", text) == []
    assert "prefers-color-scheme: dark" in text


class Balanced(HTMLParser):
    """Sees that what is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in EMPTY or tag == "i":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in EMPTY - {"i"} and (not self.open or self.open[-1] != tag):
            return
        assert self.open.pop() == tag


def test_the_page_is_whole() -> None:
    parser = Balanced()
    parser.feed(page(full()))

    assert parser.open == []
    assert parser.seen.count("svg") == parser.seen.count("figcaption") == 10
    for title in ("Targets", "Rates", "Latencies", "The knee", "Growth", "Where the time goes", "Memory"):
        assert f"<h2>{title}</h2>" in page(full())


def test_an_empty_report_is_a_page_too() -> None:
    assert "<h2>The knee</h2>" not in page(report_of())
    assert "<h1>" in page(report_of())


def test_higher_values_are_drawn_higher() -> None:
    drawn = lines("x", [Line("a", [(0, 1), (1, 10), (2, 100)], 0)], Axis("s"), Axis("ms", logarithmic=True))

    found = re.search(r'points="([^"]+)"', drawn)
    assert found is not None
    (_, low), (_, middle), (_, high) = [map(float, pair.split(",")) for pair in found.group(1).split()]
    assert high < middle < low
    assert middle == pytest.approx((low + high) / 2, abs=0.2)


def test_axes_have_round_values() -> None:
    assert nice(0, 13_700) == [0, 5000, 10_000, 15_000]
    assert nice(0, 0.9) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert [short(value) for value in (0.25, 12, 1500, 50_000_000)] == ["0.25", "12", "1.5k", "50M"]
