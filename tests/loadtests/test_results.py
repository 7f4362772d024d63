"""What a benchmark found is kept on disk and read back."""

from pathlib import Path

import pytest

from loadtests.bench.compare import compare
from loadtests.bench.latencies import Latencies, decoded
from loadtests.bench.results import Point, UnreadableReportError, decode, encode, load, save, slim
from loadtests.bench.targets import judge
from tests.loadtests.reports import report_of, run


def test_a_report_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    report = report_of(drain_uniform=[10.0, 11.0])
    report.cases["drain/uniform"][0].series = {"rate": [Point(0.5, 9.0)]}
    report.add(run("paced/uniform@100", 100, published_to_committed=12.5))
    report.targets = judge(report)

    save(report, tmp_path / "new" / "report.json")

    assert load(tmp_path / "new" / "report.json") == report
    assert load(tmp_path / "new") == report


def test_a_baseline_is_small_and_compares_like_its_report() -> None:
    report = report_of(drain_uniform=[10.0, 11.0], reference_raw=[20.0, 21.0])
    report.cases["drain/uniform"][0].series = {"rate": [Point(float(at), 9.0) for at in range(1000)]}
    report.add(run("paced/uniform@100", 100, published_to_committed=12.5))

    baseline = decode(encode(slim(report)))

    assert len(encode(baseline)) < len(encode(report)) / 4
    assert [each.speed for each in compare(baseline, report)] == [1.0] * 3
    assert report.cases["drain/uniform"][0].series != {}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"machine": 1}', '{"machine": null, "versions": {}, "started_at": ""}']
)
def test_what_is_no_report_is_said_to_be_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)

    with pytest.raises(UnreadableReportError, match=r"x\.json"):
        load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableReportError, match=r"nowhere\.json"):
        load(tmp_path / "nowhere.json")


def test_a_report_of_another_shape_is_refused() -> None:
    report = report_of()
    report.shape = 99

    with pytest.raises(UnreadableReportError, match="99"):
        decode(encode(report))


def test_faults_are_told_with_the_run_that_had_them() -> None:
    report = report_of(drain_uniform=[10.0, 11.0])
    report.cases["drain/uniform"][1].checked = ["balance acme/x: found 1, expected 2"]

    assert report.faults == ["drain/uniform, run 2: balance acme/x: found 1, expected 2"]


def test_percentiles_are_those_of_what_was_counted() -> None:
    latencies = Latencies().add_all(number * 1000 for number in range(1, 1001))

    found = latencies.percentiles()

    assert found.count == 1000
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == pytest.approx((500, 900, 990), rel=0.002)
    assert (found.p999_ms, found.max_ms) == pytest.approx((999, 1000), rel=0.002)


def test_histograms_come_back_as_they_were_written() -> None:
    latencies = Latencies().add_all([1, 1500, 2_000_000, 10**12, -5])

    assert decoded(latencies.encoded()).percentiles() == latencies.percentiles()
    assert latencies.percentiles().max_ms == pytest.approx(3_600_000, rel=0.002)


def test_nothing_counted_has_no_latencies() -> None:
    assert Latencies().percentiles().max_ms == 0
