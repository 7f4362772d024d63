"""The demonstration as a reader sees it: balances over HTTP, in each consistency, and the day's window."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from ledger.application.api_keys import KeyWish, scopes_of
from ledger.bootstrap.keys import api_keys
from ledger.client import HttpClient
from ledger.client.answers import Consistency
from ledger.config import Settings
from streams.key_secret import find_key_secret

CONSISTENCIES: tuple[Consistency, ...] = ("strong", "cached", "eventual")
STREAM_WAIT_S = 30.0
LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Reading:
    """One balance as the API answers it in each consistency, and where each answer came from (minor units)."""

    account: str
    asset: str
    balances: dict[str, int]
    sources: dict[str, str]
    windows: int
    """How many days' windows there are."""

    @property
    def agrees(self) -> bool:
        """Whether all are the same; the stream has to have answered for itself."""
        return len(set(self.balances.values())) == 1 and self.sources["eventual"] == "stream"


class Api:
    """The API, asked by its client with a key."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, dsn: str, url: str, tenant: str) -> AsyncIterator["Api"]:
        """Make a key for the tenant's readers, and ask with it."""
        async with api_keys(settings, dsn, key_secret=find_key_secret(settings)) as keys:
            key, _ = await keys.create(KeyWish(tenant, "demonstration", scopes_of(["read"])), "ledger demo")
        async with HttpClient(url, str(key)) as client:
            yield cls(client)

    async def readings(self, names: Iterable[tuple[str, str]]) -> list[Reading]:
        """Read balances in every consistency, once the stream has them all."""
        return [await self._settled(account, asset) for account, asset in names]

    async def _settled(self, account: str, asset: str) -> Reading:
        deadline = monotonic() + STREAM_WAIT_S
        reading = await self._reading(account, asset)
        while not reading.agrees and monotonic() < deadline:
            await asyncio.sleep(LOOK_S)
            reading = await self._reading(account, asset)
        return reading

    async def _reading(self, account: str, asset: str) -> Reading:
        answers = [
            await self._client.balance(account, asset, consistency=consistency)
            for consistency in CONSISTENCIES
        ]
        return Reading(
            account,
            asset,
            {answer.consistency: answer.balance for answer in answers},
            {answer.consistency: answer.source for answer in answers},
            len([day async for day in self._client.windows(account, asset, "1d")]),
        )
