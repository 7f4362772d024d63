"""Providers are opened from their settings, and opened anew when these change, without a call lost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from ledger.adapters.provider import registry
from ledger.adapters.provider.registry import FRESH_S, ProviderRegistry
from ledger.application.breaker import BreakerState
from ledger.application.faults import TransientFaultError
from ledger.application.lane_rooms import Mood
from ledger.application.payment_ports import ProviderDirectory, SealError
from tests.builders import HandClock
from tests.fakes import RememberedSignals

GOOD: dict[str, Any] = {
    "url": "https://pay.example",
    "secrets": ["a secret of the tests"],
    "hosts": ["pay.example"],
}


class Directory:
    """Settings that change, or whose secrets do not open."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] | None = GOOD
        self.is_sealed = False
        self.fault: Exception | None = None

    async def find(self, tenant: str, name: str) -> Mapping[str, Any] | None:
        if self.fault is not None:
            raise self.fault
        if self.is_sealed:
            raise SealError("as told")
        return self.settings


class Scene:
    """A registry over a directory, with time that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.directory = Directory()
        self.signals = RememberedSignals()
        directory, transit = cast(ProviderDirectory, self.directory), cast(Any, None)
        self.registry = ProviderRegistry(directory, transit, HandClock(), lambda: self.now, self.signals)

    async def later(self) -> Any:
        self.now += FRESH_S
        return await self.registry.find("acme", "bank")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.registry.close()


async def test_a_provider_stays_while_its_settings_do(scene: Scene) -> None:
    first = await scene.later()
    assert await scene.later() is first
    assert scene.registry.breakers()["acme", "bank"].state is BreakerState.CLOSED
    assert scene.registry.mood("acme", "bank") is Mood.UP


async def test_changed_settings_open_it_anew_while_calls_under_way_go_on(scene: Scene) -> None:
    first = await scene.later()
    session = first._caller._session
    scene.directory.settings = {**GOOD, "slots": 3}
    assert await scene.later() is not first
    assert scene.registry.slots() == {("acme", "bank"): 3}
    assert not session.closed
    await scene.registry.close()
    assert session.closed


async def test_a_provider_that_is_not_asked_any_more_is_closed_after_its_last_call(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "RETIRE_S", 0.0)
    scene.directory.settings = {**GOOD, "total_timeout_s": 0.01}
    session = (await scene.later())._caller._session
    scene.directory.settings = None
    assert await scene.later() is None
    async with asyncio.timeout(2):
        while not session.closed:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "fault",
    [
        {"url": "http://pay.example"},
        {"secrets": []},
        {"more": 1},
        {"networks": ["nonsense"]},
        {"total_timeout_s": 0},
        {"connect_timeout_s": -1},
        {"slots": 0},
        {"slots": 1001},
    ],
    ids=str,
)
async def test_settings_that_cannot_be_used_are_told_and_nobody_is_called(
    scene: Scene, fault: dict[str, Any]
) -> None:
    scene.directory.settings = {**GOOD, **fault}
    assert await scene.later() is None
    assert "provider.misconfigured" in scene.signals.names()
    scene.directory.settings = GOOD
    assert await scene.later() is not None


async def test_secrets_that_do_not_open_are_told_and_nobody_is_called(scene: Scene) -> None:
    await scene.later()
    scene.directory.is_sealed = True
    assert await scene.later() is None
    assert "provider.misconfigured" in scene.signals.names()


async def missing_settings(scene: Scene) -> None:
    scene.directory.settings = None


async def closed_secrets(scene: Scene) -> None:
    scene.directory.is_sealed = True


@pytest.mark.parametrize("go_missing", [missing_settings, closed_secrets])
async def test_what_cannot_be_called_has_payments_wait_and_is_looked_for_again(
    scene: Scene, go_missing: Any
) -> None:
    await go_missing(scene)
    assert await scene.later() is None
    assert scene.registry.mood("acme", "bank") is Mood.WAITS
    assert scene.registry.slots() == {("acme", "bank"): 0}
    view = scene.registry.breakers()["acme", "bank"]
    assert view == (BreakerState.OPEN, scene.now, scene.now + FRESH_S, 0, 0)
    since = scene.now
    await scene.later()
    assert scene.registry.breakers()["acme", "bank"].since == since
    assert scene.signals.names() == ["provider.misconfigured"], "told once while the fault is the same"
    scene.directory.settings, scene.directory.is_sealed = GOOD, False
    scene.now += FRESH_S
    await scene.registry.look_again()
    assert scene.registry.mood("acme", "bank") is Mood.UP
    assert scene.registry.slots() == {("acme", "bank"): 32}


async def test_looking_again_outlasts_a_database_that_is_away(scene: Scene) -> None:
    await missing_settings(scene)
    await scene.later()
    scene.directory.fault = TransientFaultError("away")
    scene.now += FRESH_S
    await scene.registry.look_again()
    assert scene.registry.mood("acme", "bank") is Mood.WAITS


async def test_secrets_are_in_nothing_that_is_shown(scene: Scene) -> None:
    provider = await scene.later()
    shown = repr(scene.registry._opened) + repr(provider._caller._rules)
    scene.directory.settings = {**GOOD, "secrets": ["short one"]}
    await scene.later()
    for secret in ("a secret of the tests", "short one"):
        assert secret not in shown + repr(scene.signals.emitted)


@pytest.mark.parametrize("settings", [{**GOOD, "url": "https://pay.example:99999"}, ["no object"], "none"])
async def test_a_provider_that_cannot_be_called_has_payments_wait(scene: Scene, settings: Any) -> None:
    scene.directory.settings = settings
    assert await scene.later() is None
    assert scene.registry.mood("acme", "bank") is Mood.WAITS
    assert scene.signals.names() == ["provider.misconfigured"]
