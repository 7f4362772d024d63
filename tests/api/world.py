"""The API over books in memory: two tenants, keys of every kind, and a client."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI

from ledger.adapters.memory.api_keys import MemoryKeys
from ledger.adapters.memory.books import MemoryBooks
from ledger.adapters.memory.payments import MemoryPayments
from ledger.adapters.memory.provider_board import MemoryProviderBoard
from ledger.adapters.memory.reader import MemoryBalances, MemoryHistory
from ledger.api.app import create_app
from ledger.api.services import Services
from ledger.application.access import Scope
from ledger.application.api_keys import ApiKeys, KeyText, KeyWish, scopes_of
from ledger.application.key_chain import KeyChain
from ledger.config import Settings
from tests.application.office import Office
from tests.builders import HandClock
from tests.fakes import RememberedSignals
from tests.scripts import parse

TENANTS = {1: "acme", 2: "rival"}
KEY_SECRET = "a secret of the tests"

LIFE = """
    open till debit overdraft=500 note=hall
    d1: transfer external:bank ann 1000
    clock 60
    d2: transfer ann bob 300
    clock 60
    d3: transfer external:bank ann 77 asset=JPY/0
    r1: reverse d2 100
    clock 60
    h1: hold ann shop 50 expires=9000
    c1: capture h1 20 more
    x1: transfer bob ann 9999
    close till
"""


def _randomness() -> Any:
    numbers = itertools.count(1)
    return lambda count: bytes((next(numbers) * 7 + step) % 256 for step in range(count))


@dataclass
class World:
    """Books of two tenants, in memory, and what the API stands on."""

    clock: HandClock = field(default_factory=HandClock)
    signals: RememberedSignals = field(default_factory=RememberedSignals)
    books: MemoryBooks = field(default_factory=MemoryBooks)
    monotonic: float = 1000.0

    def __post_init__(self) -> None:
        self.office = Office(books=self.books)
        self.office.clock = self.clock
        self.office._post._clock = self.clock
        numbers = {tenant: number for number, tenant in TENANTS.items()}
        self.key_store = MemoryKeys(numbers.__getitem__, self.clock)
        self.keys = ApiKeys(self.key_store, self.clock, _randomness(), KEY_SECRET)
        self.chain = KeyChain(
            self.key_store, self.clock, self.signals, KEY_SECRET, monotonic=lambda: self.monotonic
        )
        self.is_ready = True

    def services(self, **given: Any) -> Services:
        """Give services over these books; `given` replaces any."""

        async def is_ready() -> bool:
            return self.is_ready

        services: dict[str, Any] = {
            "settings": Settings(),
            "signals": self.signals,
            "clock": self.clock,
            "keys": self.chain,
            "balances": MemoryBalances(self.books, TENANTS, self.clock),
            "history": MemoryHistory(self.books, TENANTS, self.clock),
            "payments": lambda tenant_id: MemoryPayments(self.books),
            "providers": lambda tenant_id: MemoryProviderBoard(self.books, TENANTS[tenant_id]),
            "is_ready": is_ready,
        }
        return Services(**services | given)

    async def live(self, tenant: str = "acme", script: str = LIFE) -> None:
        """Post a script of events for a tenant."""
        for step in parse(script, tenant):
            self.clock.move(step.wait_s)
            if step.event is not None:
                await self.office.post(step.event)

    async def key(self, *scopes: Scope, tenant: str = "acme", lasts_s: float | None = None) -> KeyText:
        expires_at = None if lasts_s is None else self.clock.now() + timedelta(seconds=lasts_s)
        wish = KeyWish(tenant, "tests", scopes_of(scopes or ("read",)), expires_at)
        return (await self.keys.create(wish, "tests"))[0]


@asynccontextmanager
async def client_of(app: FastAPI, key: KeyText | None = None) -> AsyncIterator[httpx.AsyncClient]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        yield client


@asynccontextmanager
async def client_over(world: World, **given: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client with a key that may write, over a world that has lived."""
    async with client_of(create_app(world.services(**given)), await world.key("write")) as client:
        yield client
