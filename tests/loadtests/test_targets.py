"""What must be reached is found in a report, and every repeat must reach it."""

from collections.abc import Sequence

import pytest

from loadtests.bench.report import render
from loadtests.bench.results import Point, Report, Target
from loadtests.bench.targets import TARGETS, all_hold, judge, missed
from tests.loadtests.reports import report_of, run

HALF = "paced at half the knee, p99"
RATIO = "uniform, drain, as a ratio to raw"
FLAT = "worker memory over a soak is flat"
MOST = "worker memory over a soak, the most"


def judged(report: Report, name: str) -> Target:
    return next(target for target in judge(report) if target.name == name)


def soak(**mib: Sequence[float]) -> Report:
    report = report_of()
    measured = run("soak/uniform", 5000)
    for name, values in mib.items():
        points = [Point(10.0 * at, value) for at, value in enumerate(values)]
        measured.series[f"memory_mib.{name.replace('_', '-')}"] = points
    report.add(measured)
    return report


def test_nothing_measured_is_neither_held_nor_missed() -> None:
    found = judge(report_of())

    assert len(found) == len(TARGETS)
    assert {target.holds for target in found} == {None}
    assert missed(found) == []
    assert not all_hold(found)


def test_a_ratio_is_of_the_same_repeat() -> None:
    report = report_of(drain_uniform=[60.0, 90.0], reference_raw=[100.0, 200.0])

    target = judged(report, RATIO)

    assert target.found == [0.6, 0.45]
    assert target.holds is False
    assert target in missed(judge(report))


def test_a_ratio_is_to_the_mean_of_what_was_measured_around_it() -> None:
    report = report_of(drain_uniform=[60.0, 90.0], reference_raw=[100.0, 140.0, 150.0, 210.0])

    assert judged(report, RATIO).found == [0.5, 0.5]


def test_a_ratio_is_to_the_median_where_repeats_differ_in_number() -> None:
    report = report_of(drain_uniform=[60.0, 90.0], reference_raw=[100.0, 200.0, 120.0])

    assert judged(report, RATIO).found == [0.5, 0.75]
    assert judged(report, RATIO).holds is True
    assert judged(report, RATIO).aim_holds is False


@pytest.mark.parametrize(
    ("p99_ms", "holds", "aim"), [(49, True, True), (51, True, False), (250, True, False), (251, False, False)]
)
def test_latencies_hold_when_they_are_low(p99_ms: float, holds: bool, aim: bool) -> None:
    report = report_of()
    report.add(run("paced/uniform@half", 5000, published_to_committed=p99_ms))

    assert (judged(report, HALF).holds, judged(report, HALF).aim_holds) == (holds, aim)


def test_one_slow_repeat_misses_the_target() -> None:
    report = report_of()
    for p99_ms in (20, 300, 20):
        report.add(run("paced/uniform@half", 5000, published_to_committed=p99_ms))

    assert judged(report, HALF).holds is False


def test_a_drain_that_was_over_at_once_neither_holds_nor_misses() -> None:
    report = report_of(drain_uniform=[60.0, 20.0], reference_raw=[100.0, 100.0])
    report.cases["reference/raw"][0].seconds = 0.1
    assert judged(report, RATIO).holds is False

    report.cases["drain/uniform"][1].seconds = 0.4
    report.targets = judge(report)

    assert judged(report, RATIO).found == [0.6, 0.2]
    assert missed(report.targets) == []
    assert "too short to tell" in render(report)
    assert "MISSED" not in render(report)


def test_memory_that_grows_is_not_flat() -> None:
    assert judged(soak(worker_1=[50, 80, 100, 110, 110, 110, 110, 110, 110]), FLAT).holds is True
    assert judged(soak(worker_1=[50, 80, 100, 110, 110, 110, 120, 120, 120]), FLAT).holds is False
    assert judged(soak(worker_1=[100] * 9, windows_1=[100 + 10 * at for at in range(9)]), FLAT).holds is False


def test_memory_of_servers_is_no_memory_of_workers() -> None:
    report = soak(worker_1=[100] * 9, kafka=[300 + 100 * at for at in range(9)])

    assert judged(report, FLAT).found == [1.0]
    assert judged(report, MOST).found == [100]
    assert judged(report, MOST).aim_holds is True


def test_too_short_a_soak_says_nothing_of_growth() -> None:
    assert judged(soak(worker_1=[100, 200]), FLAT).holds is None


def test_aims_ask_for_no_less_than_floors() -> None:
    wrong = [
        wanted.name
        for wanted in TARGETS
        if wanted.at_least is not None
        and wanted.aim is not None
        and (wanted.aim > wanted.at_least) == wanted.lower_is_better
    ]
    assert wrong == []
