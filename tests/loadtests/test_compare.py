"""Two reports are compared: what the repeats show, and no more than they show."""

import math
from random import Random

import pytest

from loadtests.bench.compare import (
    FASTER,
    SAME,
    SLOWER,
    UNKNOWN,
    Difference,
    compare,
    difference,
    student,
    unlike,
)
from loadtests.bench.report import render_comparison
from loadtests.bench.results import Report
from tests.loadtests.reports import report_of, run

RATE = 10_000.0


def repeats(chance: Random, rate: float, count: int = 3, spread: float = 0.03) -> list[float]:
    return [rate * math.exp(chance.gauss(0, spread)) for _ in range(count)]


def only(before: Report, after: Report) -> Difference:
    (found,) = compare(before, after)
    return found


def test_a_fifth_less_is_slower() -> None:
    before = report_of(drain_uniform=[10_000, 10_100, 9_900])
    after = report_of(drain_uniform=[8_000, 8_100, 7_900])

    found = only(before, after)

    assert found.verdict == SLOWER
    assert found.speed == pytest.approx(0.8, rel=0.01)
    assert found.interval is not None
    assert found.interval.low < 0.8 < found.interval.high < 0.9
    assert only(after, before).verdict == FASTER


def test_the_same_distribution_shows_a_difference_as_rarely_as_is_said() -> None:
    chance, runs = Random(7), 400

    shown = sum(
        difference("c", "events/s", repeats(chance, RATE), repeats(chance, RATE)).verdict != SAME
        for _ in range(runs)
    )

    assert shown / runs < 0.07


def test_a_fifth_less_is_found_in_nearly_all_runs() -> None:
    chance, runs = Random(8), 200

    shown = sum(
        difference("c", "events/s", repeats(chance, RATE), repeats(chance, 0.8 * RATE)).verdict == SLOWER
        for _ in range(runs)
    )

    assert shown / runs > 0.9


def test_intervals_hold_the_truth_as_often_as_is_said() -> None:
    chance, runs, held = Random(9), 400, 0
    for _ in range(runs):
        found = difference("c", "events/s", repeats(chance, RATE), repeats(chance, 1.1 * RATE, spread=0.06))
        held += found.interval is not None and found.interval.low < 1.1 < found.interval.high

    assert held / runs > 0.92


def test_one_repeat_shows_nothing() -> None:
    found = only(report_of(drain_uniform=[10_000]), report_of(drain_uniform=[5_000, 5_000]))

    assert found.verdict == UNKNOWN
    assert not found.shown_below(0.9)


def test_longer_latencies_are_slower() -> None:
    before, after = report_of(), report_of()
    for p99_ms in (20.0, 21.0, 19.5):
        before.add(run("paced/uniform@100", 100, published_to_committed=p99_ms))
        after.add(run("paced/uniform@100", 100, published_to_committed=2 * p99_ms))

    found = only(before, after)

    assert (found.measure, found.verdict) == ("published_to_committed, p99 ms", SLOWER)
    assert found.speed == pytest.approx(0.5)


def test_a_case_fails_only_when_all_of_its_interval_is_below() -> None:
    noisy = only(
        report_of(drain_uniform=[10_000, 10_500, 9_500]), report_of(drain_uniform=[8_500, 9_700, 7_500])
    )
    clear = only(
        report_of(drain_uniform=[10_000, 10_010, 9_990]), report_of(drain_uniform=[8_000, 8_010, 7_990])
    )

    assert noisy.speed < 0.9
    assert not noisy.shown_below(0.9)
    assert clear.shown_below(0.9)
    assert "SLOWER than 0.9: drain/uniform" in render_comparison([clear], [], 0.9)
    assert "SLOWER than" not in render_comparison([noisy], [], 0.9)


def test_what_makes_it_doubtful_is_said() -> None:
    before = report_of(drain_uniform=[1.0, 1.0], reference_raw=[100.0, 101.0, 99.0], drain_hot=[1.0])
    after = report_of(drain_uniform=[1.0, 1.0], reference_raw=[50.0, 50.5, 49.5], drain_zipf=[1.0])
    after.cases["drain/uniform"][0].checked = ["a balance is wrong"]
    after.cases["drain/uniform"][0].events = 7
    after.cases["drain/uniform"][1].notes = ["the clock ends later"]
    after.versions["python"] = "3.12"

    said = "\n".join(unlike(before, after))

    for part in (
        "python differs", "reference/raw itself is slower", "other numbers of events", "only in the first: drain/hot",
        "only in the second: drain/zipf", "in the second, the books were not as expected",
        "measured in two ways, drain/uniform: of one report only it is said: the clock ends later",
    ):  # fmt: skip
        assert part in said
    assert list(unlike(before, before)) == []


def test_latencies_at_two_rates_are_not_compared() -> None:
    before, after = (report_of() for _ in range(2))
    for report, rate, p99_ms in ((before, 5_000.0, 100.0), (after, 11_000.0, 150.0)):
        for factor in (1, 1.01):
            report.add(run("paced/uniform@half", rate, published_to_committed=p99_ms * factor))

    assert compare(before, after) == []
    assert compare(after, after) != []
    (said,) = unlike(before, after)
    assert said.startswith(
        "paced/uniform@half is not compared, it ran at 5,000 5,000 and at 11,000 11,000 a second"
    )


def test_what_was_chosen_otherwise_is_said() -> None:
    before, after = (report_of(drain_uniform=[10_000, 10_000]) for _ in range(2))
    for report, given in ((before, {"workers": 1}), (after, {"workers": 2, "batch_records_max": "2000"})):
        for each in report.cases["drain/uniform"]:
            each.settings |= {"partitions": 4} | given

    assert list(unlike(before, after)) == [
        "drain/uniform ran with another `workers`: 1 and 2",
        "drain/uniform ran with another `batch_records_max`: not set and 2000",
    ]


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.706), (2, 4.303), (4, 2.776), (30, 2.042)])
def test_students_distribution_is_that_of_the_tables(freedom: float, t: float) -> None:
    assert student(0.95, freedom) == pytest.approx(t, abs=0.001)
