"""Starting the manager of tables: what Faust's does, in its order, but for the second that it waits first."""

from typing import Any, cast

import pytest
from faust.tables import TableManager

from ledger.observability.signals import Signals
from streams.transport.app import chunked_app
from tests.streams.window_simulation import SETTINGS


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a manager of tables does when it starts, instead of doing it."""
    steps: list[str] = []

    def noted(name: str) -> Any:
        async def note(*given: object) -> None:
            steps.append(" ".join([name, *(str(each) for each in given[1:])]))

        return note

    for name in ("sleep", "_update_channels"):
        monkeypatch.setattr(TableManager, name, noted(name))
    monkeypatch.setattr("faust.tables.manager.Recovery.start", noted("recover"))
    return steps


def manager() -> TableManager:
    return cast(TableManager, chunked_app("starting", SETTINGS, Signals(), []).tables)


async def test_an_app_subscribes_as_soon_as_it_has_started(steps: list[str]) -> None:
    await manager().on_start()
    assert steps == ["_update_channels", "recover"]


async def test_faust_does_the_same_after_a_second(steps: list[str]) -> None:
    await TableManager.on_start(manager())
    assert steps == ["sleep 1.0", "_update_channels", "recover"]
