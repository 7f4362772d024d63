"""The demonstration as a reader sees it: balances over HTTP, in each consistency, and the day's window."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp

from ledger.application.api_keys import KeyWish, scopes_of
from ledger.bootstrap.keys import api_keys
from ledger.config import Settings
from streams.key_secret import find_key_secret

CONSISTENCIES = ("strong", "cached", "eventual")
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
    """The API, asked with a key."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, dsn: str, url: str, tenant: str) -> AsyncIterator["Api"]:
        """Make a key for the tenant's readers, and ask with it."""
        async with api_keys(settings, dsn, key_secret=find_key_secret(settings)) as keys:
            key, _ = await keys.create(KeyWish(tenant, "demonstration", scopes_of(["read"])), "ledger demo")
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as http:
            yield cls(http, url)

    async def _get(self, path: str, **query: str) -> dict[str, Any]:
        async with self._http.get(self._url + path, params=query, raise_for_status=True) as answer:
            found: dict[str, Any] = await answer.json()
            return found

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
        path = f"/v1/accounts/{account}"
        answers = {
            consistency: await self._get(f"{path}/balance", asset=asset, consistency=consistency)
            for consistency in CONSISTENCIES
        }
        days = await self._get(f"{path}/windows", asset=asset, size="1d")
        return Reading(
            account,
            asset,
            {consistency: answer["balance"] for consistency, answer in answers.items()},
            {consistency: answer["source"] for consistency, answer in answers.items()},
            len(days["items"]),
        )
