"""The simulator, and providers over HTTP that call it."""

import itertools
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from ledger.adapters.provider.http import HttpProvider, open_provider
from ledger.adapters.provider.rules import ProviderRules
from ledger.adapters.system import SystemClock
from ledger.application.breaker import BreakerRules
from tests.fakes import RememberedSignals
from tests.provider import Simulator

PATIENT = BreakerRules(calls_min=10_000)
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One provider for all tests here; each gives it a script, and has a tenant of its own."""
    simulator = Simulator(tmp_path_factory.mktemp("provider") / "book.db").start()
    yield simulator
    simulator.stop()


@pytest.fixture
def tenant() -> str:
    return f"t{next(_numbers)}"


class Opener:
    """Opens providers over HTTP, and closes them at the end."""

    def __init__(self, simulator: Simulator, stack: AsyncExitStack) -> None:
        self.simulator = simulator
        self.signals = RememberedSignals()
        self._stack = stack

    async def __call__(self, rules: ProviderRules | None = None, **changes: Any) -> HttpProvider:
        rules = rules or self.simulator.rules(**{"breaker": PATIENT, **changes})
        opened = open_provider(rules, SystemClock(), time.monotonic, self.signals)
        return await self._stack.enter_async_context(opened)

    def answers(self) -> list[str]:
        return [facts["answer"] for name, facts in self.signals.emitted if name == "provider.called"]

    def breaker(self) -> list[str]:
        return [facts["after"] for name, facts in self.signals.emitted if name == "provider.breaker_changed"]


@pytest.fixture
async def opened(simulator: Simulator) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:
        yield Opener(simulator, stack)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
