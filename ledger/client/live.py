"""Balances as they change: the API's server-sent events, taken up again after a break."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from time import monotonic
from typing import NamedTuple

import aiohttp
import msgspec

from ledger.client.answers import LiveBalance
from ledger.client.calling import CONNECT_S, Caller, read_as
from ledger.client.errors import UnavailableError
from ledger.client.patience import pause_of

SILENCE_S = 40.0
"""The API says every 15 s that it is still there."""
EVENTS = "text/event-stream"
LINE_BYTES_MAX = 2**20
"""A snapshot of all balances of an account is one line."""


class Told(NamedTuple):
    """One server-sent event."""

    id: str
    name: str
    data: str


class _Snapshot(msgspec.Struct):
    account: str
    balances: list[msgspec.Raw]


class BalanceStream:
    """One account's balances, for as long as they are asked for."""

    def __init__(self, caller: Caller, path: str, query: Mapping[str, str]) -> None:
        self._caller = caller
        self._path = path
        self._query = query
        self._last = ""
        self._failing_since: float | None = None

    async def follow(self) -> AsyncGenerator[LiveBalance, None]:
        """Give each balance that is told; after a break, what has changed meanwhile.

        Raises UnavailableError if nothing is heard, not even that the API is still there, for the caller's deadline
        after a break, and ProblemError where the API refuses.
        """
        tries = 0
        while True:
            retry_after_s = None
            try:
                async for told in self._once():
                    tries, self._last = 0, told.id or self._last
                    for balance in balances_of(told):
                        yield balance
            except UnavailableError as error:
                if self._failing_for_s() > self._caller.deadline_s:
                    raise
                retry_after_s = error.retry_after_s
            await asyncio.sleep(pause_of(retry_after_s, tries, random.random()))  # noqa: S311 - spreads load
            tries += 1

    def _failing_for_s(self) -> float:
        """Say how long ago the first failure was since something was heard."""
        now = monotonic()
        if self._failing_since is None:
            self._failing_since = now
        return now - self._failing_since

    async def _once(self) -> AsyncIterator[Told]:
        headers = {"Accept": EVENTS, **({"Last-Event-ID": self._last} if self._last else {})}
        limits = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=SILENCE_S)
        async with self._caller.answer(
            "GET",
            self._path,
            params=self._query,
            headers=headers,
            timeout=limits,
            read_bufsize=LINE_BYTES_MAX,
        ) as found:
            if found.content_type != EVENTS:
                raise UnavailableError(
                    f"{self._path} was answered with {found.content_type}, not with events"
                )
            async for told in events_of(self._heard(found.content)):
                yield told

    async def _heard(self, lines: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Give lines, each of which says that the API is there; to end without one is a failure."""
        is_silent = True
        async for line in lines:
            is_silent, self._failing_since = False, None
            yield line
        if is_silent:
            raise UnavailableError(f"{self._path} ended without a word")


async def events_of(lines: AsyncIterable[bytes]) -> AsyncIterator[Told]:
    """Read server-sent events from lines; comments and what is not known are passed by."""
    members: dict[str, str] = {}
    async for line in lines:
        text = line.decode().rstrip("\r\n")
        if text:
            name, _, value = text.partition(":")
            members[name] = value.removeprefix(" ")
            continue
        if "data" in members:
            yield Told(members.get("id", ""), members.get("event", "message"), members["data"])
        members = {}


def balances_of(told: Told) -> list[LiveBalance]:
    """Read the balances that an event tells: all of the account, or one."""
    if told.name == "balance":
        return [read_as(LiveBalance, told.data)]
    if told.name != "snapshot":
        return []
    snapshot = read_as(_Snapshot, told.data)
    account = msgspec.json.encode(snapshot.account)
    # The account stands beside its balances: each is read as if it were told by itself.
    whole = (b'{"account":' + account + b"," + bytes(each).lstrip()[1:] for each in snapshot.balances)
    return [read_as(LiveBalance, each) for each in whole]
