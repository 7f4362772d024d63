"""The providers of all tenants: opened from their settings when they are first asked, each with its own breaker."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

import msgspec

from ledger.adapters.provider.http import HttpProvider, open_provider
from ledger.adapters.provider.settings import ProviderSettings, SettingsRefusedError, read_settings
from ledger.application.breaker import BreakerState, BreakerView, Monotonic
from ledger.application.faults import TransientFaultError
from ledger.application.lane_rooms import Mood
from ledger.application.ledger_provider import LedgerProvider
from ledger.application.payment_ports import ProviderDirectory, SealError
from ledger.application.ports import Clock
from ledger.application.providers import PaymentProvider
from ledger.domain.commands import LEDGER_PREFIX
from ledger.observability.signals import Signals

FRESH_S = 10.0
"""So long settings are believed before they are read again."""
RETIRE_S = 1.0
LOOK_S = 1.0


class _Opened(NamedTuple):
    provider: HttpProvider
    settings: ProviderSettings
    stack: AsyncExitStack


class _Missing(NamedTuple):
    since: float
    why: str


class ProviderRegistry:
    """Providers, to be closed at the end. Changed settings take effect within FRESH_S, if `keep_looking` runs.

    A provider that is not there, or not one that can be called, has payments wait without a try, as if its
    breaker were open.
    """

    def __init__(
        self,
        directory: ProviderDirectory,
        transit: Callable[[str], LedgerProvider],
        clock: Clock,
        monotonic: Monotonic,
        signals: Signals,
    ) -> None:
        self._directory = directory
        self._transit = transit
        self._clock = clock
        self._monotonic = monotonic
        self._signals = signals
        self._opened: dict[tuple[str, str], _Opened] = {}
        self._read_at: dict[tuple[str, str], float] = {}
        self._missing: dict[tuple[str, str], _Missing] = {}
        self._opening = asyncio.Lock()
        self._retiring: dict[asyncio.Task[None], _Opened] = {}

    async def find(self, tenant: str, name: str) -> PaymentProvider | None:
        """Give a provider; raises TransientFaultError where its settings cannot be read."""
        if name.startswith(LEDGER_PREFIX):
            return self._transit(name.removeprefix(LEDGER_PREFIX))
        key = (tenant, name)
        if self._monotonic() - self._read_at.get(key, float("-inf")) >= FRESH_S:
            async with self._opening:
                await self._refresh(key)
        return None if key in self._missing else self._opened[key].provider

    def mood(self, tenant: str, name: str) -> Mood:
        """Say how it stands with a provider."""
        if (tenant, name) in self._missing:
            return Mood.WAITS
        opened = self._opened.get((tenant, name))
        if opened is None or opened.provider.state is BreakerState.CLOSED:
            return Mood.UP
        if opened.provider.state is BreakerState.HALF_OPEN:
            return Mood.TRIES
        return Mood.DECLINES if opened.settings.when_down == "decline" else Mood.WAITS

    def slots(self) -> Mapping[tuple[str, str], int]:
        """Give those that were looked for, each with how many calls at a time it takes; none, if it is missing."""
        opened = {key: opened.settings.slots for key, opened in self._opened.items()}
        return opened | dict.fromkeys(self._missing, 0)

    def breakers(self) -> Mapping[tuple[str, str], BreakerView]:
        """Give how each breaker stands, by tenant and name; one that is missing is open, and opened by no calls."""
        return {
            **{key: opened.provider.view() for key, opened in self._opened.items()},
            **{key: self._as_breaker(key, missing) for key, missing in self._missing.items()},
        }

    def _as_breaker(self, key: tuple[str, str], missing: _Missing) -> BreakerView:
        return BreakerView(BreakerState.OPEN, missing.since, self._read_at[key] + FRESH_S, 0, 0)

    async def keep_looking(self) -> None:
        """Look again for those that are missing, until cancelled: while they are, nobody else asks for them."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look_again()

    async def look_again(self) -> None:
        """Look once for those that were last looked for FRESH_S ago."""
        for tenant, name in list(self._missing):
            try:
                await self.find(tenant, name)
            except TransientFaultError as fault:
                self._signals.emit("payments.not_taken", fault=str(fault))
                return

    async def close(self) -> None:
        """Close all connections."""
        retiring = dict(self._retiring)
        for task in retiring:
            task.cancel()
        await asyncio.gather(*retiring, return_exceptions=True)
        for opened in (*retiring.values(), *self._opened.values()):
            await opened.stack.aclose()
        self._opened.clear()

    async def _refresh(self, key: tuple[str, str]) -> None:
        if self._monotonic() - self._read_at.get(key, float("-inf")) < FRESH_S:
            return
        try:
            stored = await self._directory.find(*key)
            if stored is None:
                self._miss(key, "it is not there, or not any more")
            else:
                await self._open(key, read_settings(stored))
                self._missing.pop(key, None)
        except (SealError, SettingsRefusedError, ValueError, msgspec.MsgspecError) as fault:
            self._miss(key, str(fault))
        self._read_at[key] = self._monotonic()

    async def _open(self, key: tuple[str, str], settings: ProviderSettings) -> None:
        """Open a provider, unless it is; raises ValueError for settings by which nobody may be called."""
        if key in self._opened and self._opened[key].settings == settings:
            return
        tenant, name = key
        rules = settings.rules(name, tenant)
        self._forget(key)
        stack = AsyncExitStack()
        provider = await stack.enter_async_context(
            open_provider(rules, self._clock, self._monotonic, self._signals)
        )
        self._opened[key] = _Opened(provider, settings, stack)

    def _miss(self, key: tuple[str, str], why: str) -> None:
        self._forget(key)
        known = self._missing.get(key)
        if known is None or known.why != why:
            self._signals.emit("provider.misconfigured", tenant=key[0], provider=key[1], fault=why)
        self._missing[key] = _Missing(self._monotonic() if known is None else known.since, why)

    def _forget(self, key: tuple[str, str]) -> None:
        opened = self._opened.pop(key, None)
        if opened is not None:
            task = asyncio.create_task(_retire(opened))
            self._retiring[task] = opened
            task.add_done_callback(self._retiring.pop)


async def _retire(opened: _Opened) -> None:
    """Close a provider that is not asked any more, once its last calls have ended."""
    await asyncio.sleep(opened.settings.total_timeout_s + RETIRE_S)
    await opened.stack.aclose()
