"""Cases are found by their names, and the command says by its exit status what came out."""

from pathlib import Path

import pytest

from loadtests.bench import __main__ as command
from loadtests.bench.cases import (
    CASES,
    FULL,
    QUICK,
    REPEATED,
    MissingKneeError,
    UnknownCaseError,
    check_order,
    find_cases,
    repeated,
)
from loadtests.bench.targets import TARGETS
from loadtests.workloads import WORKLOADS


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    return command.main()


def test_selections_are_of_cases_that_exist() -> None:
    assert {*QUICK, *REPEATED, *FULL} <= CASES.keys()


def test_every_workload_can_be_drained() -> None:
    assert {f"drain/{name}" for name in WORKLOADS} <= CASES.keys()


def test_every_target_goes_by_cases_that_the_full_run_has() -> None:
    words = (word.strip(",") for target in TARGETS for word in target.figure.of.split())
    named = {word for word in words if word.partition("/")[0].isalpha() and "/" in word}

    assert named
    assert named <= set(FULL)


def test_what_goes_by_a_rate_comes_after_what_finds_it() -> None:
    order = list(FULL)

    assert order.index("drain/uniform") < order.index("ramp/uniform") < order.index("paced/uniform@half")
    assert QUICK.index("drain/uniform") < QUICK.index("paced/uniform@half")


def test_a_mode_stands_for_all_its_cases() -> None:
    assert find_cases(["growth", "drain/hot"])[-2:] == ["growth/uniform@50000000", "drain/hot"]


def test_an_unknown_case_is_an_error() -> None:
    with pytest.raises(UnknownCaseError, match="drain/cold"):
        find_cases(["drain/cold"])


def test_repeats_take_turns() -> None:
    assert repeated(["drain/hot", "http"], 2, only_main=False) == ["drain/hot", "http", "drain/hot", "http"]
    assert repeated(["drain/hot", "http"], 2, only_main=True) == ["drain/hot", "http", "drain/hot"]


def test_raw_is_measured_around_what_is_held_against_it() -> None:
    around = ["reference/raw", "drain/uniform", "reference/raw", "drain/hot"]
    assert repeated(["reference/raw", "drain/uniform", "drain/hot"], 2, only_main=False) == around * 2
    assert repeated(["drain/uniform", "drain/hot", "reference/raw"], 1, only_main=False) == around
    for names, times in ((FULL, 3), (QUICK, 2)):
        each = repeated(names, times, only_main=True)
        beside = [each[at - 1 : at + 2] for at, name in enumerate(each) if name == "drain/uniform"]
        assert beside == [around[:3]] * times
        assert each.count("reference/raw") == 2 * times
    for alone in (["drain/uniform", "drain/hot"], ["reference/raw", "drain/hot"]):
        assert repeated(alone, 1, only_main=False) == alone


def test_cases_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "list") == 0
    assert set(CASES) == {line.split()[0] for line in capsys.readouterr().out.splitlines()}


def test_wrong_use_exits_with_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, "run", "drain/cold") == 2
    assert run(monkeypatch, "report", str(tmp_path / "nothing")) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        "--events 0",
        "--events -5",
        "--events many",
        "--workers 0",
        "--repeats 0",
        "--partitions 0",
        "--seconds nan",
        "--seconds 0.5",
        "--soak-seconds 0",
        "--rate -1",
        "--rate 0.01",
    ],
)
def test_what_cannot_be_measured_with_is_refused(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "run", "drain/uniform", *wrong.split())

    assert ended.value.code == 2
    assert f"{wrong.split()[0]}: '{wrong.split()[1]}' is no" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("bar", "NAME=VALUE"),
        ("FOO=1", "there is no setting 'FOO'"),
        ("batch_records_max=none", "batch_records_max=none: "),
        ("postgres_dsn=postgresql://elsewhere/books", "a run sets this by itself"),
        ("partitions=8", "a run sets this by itself"),
        ("entries_topic=entries", "a run sets this by itself"),
    ],
)
def test_a_setting_that_is_none_is_refused(
    given: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "run", "drain/uniform", "--set", given) == 2
    assert said in capsys.readouterr().err


def test_where_nothing_can_be_written_is_found_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()

    assert run(monkeypatch, "run", "drain/uniform", "--out", str(file)) == 2
    assert run(monkeypatch, "run", "drain/uniform", "--out", str(file / "x")) == 2
    assert capsys.readouterr().err.count("nothing can be written into") == 2


@pytest.mark.parametrize(
    "names", [QUICK, FULL, ["drain/uniform", "ramp/uniform", "soak/uniform"], ["drain/hot"]]
)
def test_who_goes_by_the_rate_of_another_comes_after_it(names: list[str]) -> None:
    check_order(names)


@pytest.mark.parametrize("names", [["ramp/uniform", "drain/uniform"], ["drain/hot", "paced/uniform@half"]])
def test_a_rate_that_nothing_finds_is_told_before_anything_is_measured(names: list[str]) -> None:
    with pytest.raises(MissingKneeError, match=r"run .*drain/uniform first, or give --rate"):
        check_order(names)
