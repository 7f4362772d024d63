"""What `ledger up` prints of a stack, and what it says where one runs already."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.cli.up import announce
from streams.embedded.state import ProcessRecord, StackRecord, StateDirectory
from tests.streams.stack_states import state_with

API = ProcessRecord(name="api", pid=1, ready=True, restarts=0, url="http://127.0.0.1:8")
RUNNING = StackRecord(phase="ready", kafka="127.0.0.1:1", postgres="postgresql://stack", processes=(API,))


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return state_with(RUNNING, tmp_path / "state")


def test_console_is_told_beside_the_api(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    announce(state, RUNNING, json_output=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == ["api        http://127.0.0.1:8", "console    http://127.0.0.1:8/console"]


@pytest.mark.parametrize(("workers", "is_told"), [(("--workers", "3"), True), ((), False)])
def test_running_stack_is_said_to_be_left_as_it_is(
    state: StateDirectory, workers: tuple[str, ...], is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_STATE_DIR", str(state))
    with state.lock():
        done = CliRunner().invoke(app, ["up", *workers])
    assert (done.exit_code, "`ledger down`, then `ledger up`" in done.stderr) == (0, is_told), done.output
