"""A run of faults: what it refuses, what it keeps of itself, and faults that must have met something."""

from pathlib import Path
from random import Random

import pytest

from loadtests.chaos.__main__ import main, parser
from loadtests.chaos.fault import DidNotHappenError
from loadtests.chaos.faults import FAULTS
from loadtests.chaos.faults.cluster import next_to_die
from loadtests.chaos.faults.limits import met
from loadtests.chaos.results import Checked, Injected, Report, Scene
from loadtests.chaos.run import Wanted, run
from loadtests.chaos.schedule import Plan, plan
from loadtests.chaos.stage import StageError, Wishes


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seed", "x"),
        ("--seconds", "0"),
        ("--minutes", "nan"),
        ("--rate", "-5"),
        ("--share", "-1"),
        ("--only", ","),
    ],
    ids=" ".join,
)
def test_what_no_run_can_be_made_of_is_refused_in_words(
    arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["run", *arguments])
    assert ended.value.code == 2
    assert f"argument {arguments[0]}" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_told_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    monkeypatch.setattr("sys.argv", ["chaos", "run", "--out", str(taken)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "taken" in capsys.readouterr().err


async def test_a_scene_that_cannot_be_played_is_a_finding_and_the_run_goes_on(tmp_path: Path) -> None:
    heard: list[Report] = []

    async def play(played: Plan, wanted: Wanted) -> Scene:
        if played.scene == "whole":
            raise StageError("the servers did not start")
        return Scene(
            played.scene,
            1.0,
            1,
            [Injected("F14", "a title", "cluster", "ok")],
            {"Z": Checked(ok=True, checked=1)},
        )

    wanted = Wanted(1, tmp_path, Wishes(), list[str]().append, so_far=heard.append)
    plans = plan([FAULTS["F1"], FAULTS["F14"]], 1)
    report = await run(plans, [], wanted, play)
    first, second = sorted(report.scenes, key=lambda scene: scene.name, reverse=True)
    assert [each.verdict for each in first.faults] == ["did not happen"]
    assert first.why == ["could not be played: StageError: the servers did not start"]
    assert second.ok
    assert not report.ok
    assert [len(each.scenes) for each in heard] == [1, 2]


def test_a_limit_that_no_worker_met_did_not_happen() -> None:
    done = {"files": {"worker-1": 3}, "memory": {"worker-1": 1, "windows-1": 0}}
    assert met(done) == done
    with pytest.raises(DidNotHappenError, match="no worker ran out of memory"):
        met({"files": {"worker-1": 3}, "memory": {"worker-1": 0, "windows-1": 0}})


def test_brokers_die_while_they_lead_and_each_at_least_once() -> None:
    random, hit = Random(1), set[int]()
    assert next_to_die({1: 3, 2: 9, 3: 0}, hit, random) == 2
    assert next_to_die({1: 3, 3: 9}, {2}, random) == 3
    assert next_to_die({2: 6, 3: 6}, {2, 3}, random) == 1
    assert next_to_die({1: 1, 2: 2, 3: 9}, {1, 2, 3}, random) == 3
