"""Supervision, on shells instead of servers."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ledger.observability.signals import Facts, Signals
from streams.embedded.errors import PartFailedError
from streams.embedded.keeper import Patience
from streams.embedded.part import Part, bare
from streams.embedded.processes import leftovers, sweep
from streams.embedded.state import StateDirectory
from streams.embedded.supervisor import Supervisor

ARE_SESSIONS_WEIGHED = Path("/proc/self/autogroup").exists()

QUICK = Patience(backoff_s=0.01, starting_probe_s=0.01, steady_probe_s=0.01)


class Stage:
    """A supervisor and what it said."""

    def __init__(self, path: Path) -> None:
        self.state = StateDirectory(path / "state")
        self.state.make()
        self.said: list[tuple[str, Any]] = []
        self.supervisor = Supervisor(self.state, Signals(self._hear), lambda: None, QUICK)

    def _hear(self, name: str, facts: Facts) -> None:
        self.said.append((name, facts["name"]))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    yield made
    await made.supervisor.stop()
    assert leftovers(made.state) == []


def shell(name: str, script: str, *, ready: bool = True, **times: float) -> Part:
    async def command() -> list[str]:
        return ["/bin/sh", "-c", script]

    async def probe() -> bool:
        return ready

    return Part(name, command, probe, bare(), **times)  # type: ignore[arg-type]


async def eventually(happens: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happens():  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.01)


async def test_a_part_that_dies_is_started_again_and_counted(stage: Stage) -> None:
    await stage.supervisor.start(shell("one", "exec sleep 100"))
    killed = stage.supervisor.records()[0].pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: stage.supervisor.records()[0].restarts == 1)
    await eventually(lambda: stage.supervisor.records()[0].ready)
    assert stage.supervisor.records()[0].pid != killed


async def test_a_part_may_let_others_go_first(stage: Stage) -> None:
    await stage.supervisor.start(shell("one", "exec sleep 100", niceness=3))
    pid = stage.supervisor.records()[0].pid
    await eventually(lambda: psutil.Process(pid).nice() == os.nice(0) + 3)
    if ARE_SESSIONS_WEIGHED:
        await eventually(lambda: Path(f"/proc/{pid}/autogroup").read_text().split()[-1] == "3")


async def test_a_part_that_never_lives_fails_with_its_last_words(stage: Stage) -> None:
    with pytest.raises(PartFailedError, match="died 3 times") as caught:
        await stage.supervisor.start(shell("one", "echo no such luck; exit 3", ready=False))
    assert "no such luck" in caught.value.hint


async def test_a_part_that_is_never_ready_fails(stage: Stage) -> None:
    with pytest.raises(PartFailedError, match="was not ready after"):
        await stage.supervisor.start(shell("one", "exec sleep 100", ready=False, start_timeout_s=0.1))


async def test_a_program_that_does_not_exist_fails(stage: Stage) -> None:
    async def command() -> list[str]:
        return ["/does/not/exist"]

    part = shell("one", "", ready=False)
    with pytest.raises(PartFailedError, match="died"):
        await stage.supervisor.start(Part("one", command, part.ready, bare()))


async def test_a_part_that_will_not_stop_is_killed(stage: Stage) -> None:
    stubborn = shell("one", "trap '' TERM; while :; do sleep 0.1; done", stop_timeout_s=0.3)
    await stage.supervisor.start(stubborn)
    await asyncio.sleep(0.2)
    await stage.supervisor.stop()
    assert leftovers(stage.state) == []


async def test_parts_stop_in_the_reverse_of_their_start(stage: Stage) -> None:
    await stage.supervisor.start(shell("first", "exec sleep 100"))
    await stage.supervisor.start(shell("second", "exec sleep 100"))
    await stage.supervisor.stop()
    order = [fact for fact in stage.said if fact[0] in ("part.ready", "part.stopped")]
    assert order == [
        ("part.ready", "first"),
        ("part.ready", "second"),
        ("part.stopped", "second"),
        ("part.stopped", "first"),
    ]


async def test_the_sweep_ends_only_what_belongs_to_the_directory(stage: Stage, tmp_path: Path) -> None:
    other = Stage(tmp_path / "other")
    await other.supervisor.start(shell("bystander", "exec sleep 100"))
    try:
        assert await asyncio.to_thread(sweep, stage.state) == 0
        pid = other.supervisor.records()[0].pid
        assert pid is not None
        assert psutil.pid_exists(pid)
    finally:
        await other.supervisor.stop()


@pytest.mark.parametrize(("deaths", "wait_s"), [(1, 0.2), (2, 0.4), (3, 0.8), (9, 10.0), (2000, 10.0)])
def test_the_wait_doubles_up_to_its_bound(deaths: int, wait_s: float) -> None:
    assert Patience().wait_s(deaths) == wait_s
