"""The state directory: what is kept, who holds it, and what a broken file does."""

import os
import socket
import stat
from pathlib import Path

import pytest

from streams.embedded import state as module
from streams.embedded.errors import AlreadyRunningError, StateDirectoryError
from streams.embedded.state import StackRecord, StateDirectory


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    made = StateDirectory(tmp_path / "state")
    made.make()
    return made


def test_a_port_is_chosen_once(state: StateDirectory) -> None:
    assert state.port("kafka") == StateDirectory(state.path).port("kafka")
    assert state.port("kafka") != state.port("postgres")


def test_a_port_that_somebody_took_is_chosen_anew(state: StateDirectory) -> None:
    port = state.port("kafka")
    with socket.create_server(("127.0.0.1", port)):
        assert state.port("kafka") != port


def test_a_secret_is_kept_for_its_owner_only(state: StateDirectory) -> None:
    assert state.secret("password") == StateDirectory(state.path).secret("password")
    assert stat.S_IMODE((state.path / "secrets.json").stat().st_mode) == 0o600


def test_one_directory_has_one_supervisor(state: StateDirectory) -> None:
    with state.lock(), pytest.raises(AlreadyRunningError), StateDirectory(state.path).lock():
        pass


def test_the_holder_of_the_lock_is_the_supervisor(state: StateDirectory) -> None:
    with state.lock():
        assert state.supervisor() == os.getpid()
    assert state.supervisor() is None


def test_a_stale_lock_file_names_nobody(state: StateDirectory) -> None:
    (state.path / "stack.lock").write_text(str(os.getppid()))
    assert state.supervisor() is None


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"phase": 1}'])
def test_a_broken_record_reads_as_stopped(state: StateDirectory, broken: str) -> None:
    (state.path / "stack.json").write_text(broken)
    assert state.read() == StackRecord(phase="stopped")


def test_broken_ports_are_chosen_anew(state: StateDirectory) -> None:
    (state.path / "ports.json").write_text('{"kafka":')
    assert state.port("kafka") in module.PORTS


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FREE_BYTES_MIN", 2**62)
    with pytest.raises(StateDirectoryError, match="MiB free"):
        StateDirectory(tmp_path).make()
