"""The API as a caller has it: answers, waited for a while where it says to come back."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any
from urllib.parse import quote

import httpx

AGAIN = {429, 503}


class Client:
    """One key at one API. An answer other than 200 is given as its status."""

    def __init__(self, client: httpx.AsyncClient, wait_s: float) -> None:
        self._client = client
        self._wait_s = wait_s

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, key: str, wait_s: float) -> AsyncIterator["Client"]:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url.rstrip("/"), headers=headers, timeout=30.0) as client:
            yield cls(client, wait_s)

    async def get(self, path: str, **parameters: Any) -> tuple[int, Any]:
        """Give the status and the body; what is busy is asked again until the limit."""
        deadline = monotonic() + self._wait_s
        while True:
            answer = await self._client.get(f"/v1/{path}", params=parameters)
            if answer.status_code not in AGAIN or monotonic() > deadline:
                return answer.status_code, answer.json()
            await asyncio.sleep(0.2)

    async def until(self, wanted: Mapping[str, Any], path: str, **parameters: Any) -> tuple[int, Any]:
        """Ask until the members of an answer are as wanted, or the limit is over; gives the last answer."""
        deadline = monotonic() + self._wait_s
        while True:
            status, found = await self.get(path, **parameters)
            agrees = status == 200 and all(found.get(name) == value for name, value in wanted.items())
            if agrees or monotonic() > deadline:
                return status, found
            await asyncio.sleep(0.2)


def account_path(code: str, rest: str = "") -> str:
    """Write the path of an account."""
    return f"accounts/{quote(code, safe=':')}{rest}"
