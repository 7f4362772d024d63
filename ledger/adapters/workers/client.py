"""A StreamReader that asks the windows worker that holds the key, and knows when to give up."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from random import Random
from time import monotonic
from typing import TypeVar

import aiohttp
import msgspec

from ledger.adapters.workers.routes import RouteTable
from ledger.adapters.workers.wire import BALANCE_PATH, ROUTES_PATH, WINDOWS_PATH, Routes
from ledger.application.breaker import Breaker, BreakerOpenError, BreakerRules, BreakerState, Monotonic
from ledger.application.stream_reading import (
    BalanceOf,
    Cause,
    StreamAwayError,
    StreamBalance,
    StreamWindows,
)
from ledger.contract.outgoing import record_key
from ledger.domain.window import WindowSize
from ledger.observability.signals import Signals

CONNECTIONS_MAX = 64
CONNECTIONS_TO_A_WORKER_MAX = 16
IDLE_CONNECTION_S = 30.0
SLOW_SHARE = 0.5
"""A worker that takes this much of the time that a read may take is slow."""

Answer = TypeVar("Answer", StreamBalance, StreamWindows)
Got = TypeVar("Got")


class Workers:
    """A StreamReader over HTTP; every read ends within `timeout_s`, whatever the workers do."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        seeds: Sequence[str],
        signals: Signals,
        *,
        timeout_s: float,
        clock: Monotonic = monotonic,
    ) -> None:
        self._session = session
        self._timeout_s = timeout_s
        self._signals = signals
        self._clock = clock
        self._rules = BreakerRules(calls_min=5, slow_s=SLOW_SHARE * timeout_s, open_s=2.0)
        self._breakers: dict[str, Breaker] = {}
        self._routes = RouteTable(seeds, self._ask_routes, clock, signals, Random())  # noqa: S311  # whom to ask

    @classmethod
    @asynccontextmanager
    async def open(
        cls, seeds: Sequence[str], token: str, signals: Signals, *, timeout_s: float
    ) -> AsyncIterator["Workers"]:
        """Open a client for the workers of which `seeds` are some; the others are learned from them."""
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS_MAX,
            limit_per_host=CONNECTIONS_TO_A_WORKER_MAX,
            keepalive_timeout=IDLE_CONNECTION_S,
        )
        headers = {aiohttp.hdrs.AUTHORIZATION: f"Bearer {token}"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            workers = cls(session, seeds, signals, timeout_s=timeout_s)
            try:
                yield workers
            finally:
                await workers._routes.close()

    async def balance(self, of: BalanceOf) -> StreamBalance:
        return await self._read(of, BALANCE_PATH, {}, StreamBalance)

    async def windows(
        self, of: BalanceOf, size: WindowSize, first: int, before: int, limit: int
    ) -> StreamWindows:
        asked = {"size": size.value, "first": str(first), "before": str(before), "limit": str(limit)}
        return await self._read(of, WINDOWS_PATH, asked, StreamWindows)

    def breaker_states(self) -> Mapping[str, BreakerState]:
        """Give the state of each worker's breaker, by its base URL."""
        return {url: breaker.state for url, breaker in self._breakers.items()}

    async def _read(self, of: BalanceOf, path: str, asked: Mapping[str, str], kind: type[Answer]) -> Answer:
        """Ask the worker that holds the key, and once more, after learning the routes anew, if it was not that."""
        query = {**msgspec.structs.asdict(of), **asked}
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            return await self._ask_owner(of, path, query, kind, deadline)
        except StreamAwayError as away:
            if away.cause not in (Cause.MISDIRECTED, Cause.UNREACHABLE):
                raise
        async with _until(deadline):
            await self._routes.refresh()
        return await self._ask_owner(of, path, query, kind, deadline)

    async def _ask_owner(
        self, of: BalanceOf, path: str, query: Mapping[str, str], kind: type[Answer], deadline: float
    ) -> Answer:
        async with _until(deadline):
            url = await self._routes.owner(record_key(of.tenant, of.account))
        body = await self._ask(url, path, query, deadline)
        if body is None:
            raise StreamAwayError(Cause.MISDIRECTED, f"{url} does not hold {of.account}")
        answer = _decode(body, kind)
        if answer.of != of:
            raise StreamAwayError(Cause.REFUSED, f"{url} answered for another balance")
        return answer

    async def _ask_routes(self, url: str) -> Routes:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        body = await self._ask(url, ROUTES_PATH, {}, deadline)
        return _decode(body or b"", Routes)

    async def _ask(self, url: str, path: str, query: Mapping[str, str], deadline: float) -> bytes | None:
        """Ask one worker; None: it does not hold that. What it cannot answer in time counts against it."""
        try:
            with self._breaker(url).calling():
                async with _until(deadline):
                    return await self._get(url + path, query)
        except BreakerOpenError as error:
            self._routes.doubt()
            raise StreamAwayError(Cause.BREAKER_OPEN, url) from error
        except StreamAwayError as away:
            if away.cause is Cause.TOO_SLOW:
                self._routes.doubt()
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise StreamAwayError(Cause.UNREACHABLE, f"{url}: {error!r}") from error

    async def _get(self, url: str, query: Mapping[str, str]) -> bytes | None:
        async with self._session.get(url, params=query, allow_redirects=False) as response:
            body = await response.read()
            if response.status == HTTPStatus.OK:
                return body
            if response.status == HTTPStatus.MISDIRECTED_REQUEST:
                return None
            is_away = response.status == HTTPStatus.SERVICE_UNAVAILABLE
            cause = Cause.NOT_READY if is_away else Cause.REFUSED
            raise StreamAwayError(cause, f"{url} answered {response.status}")

    def _breaker(self, url: str) -> Breaker:
        if url not in self._breakers:
            for gone in self._breakers.keys() - self._routes.urls:
                del self._breakers[gone]
            self._breakers[url] = Breaker(self._rules, self._clock, partial(self._changed, url))
        return self._breakers[url]

    def _changed(self, url: str, before: BreakerState, after: BreakerState) -> None:
        self._signals.emit("windows.breaker_changed", worker=url, before=before.value, after=after.value)


@asynccontextmanager
async def _until(deadline: float) -> AsyncIterator[None]:
    """Give up at a time of the event loop; raises StreamAwayError."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError as late:
        raise StreamAwayError(Cause.TOO_SLOW, "no answer in time") from late


def _decode(body: bytes, kind: type[Got]) -> Got:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as fault:
        raise StreamAwayError(Cause.REFUSED, f"not understood: {fault}") from fault
