"""The windows of a worker over HTTP, for the API: behind a token, and only of partitions that it holds."""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

import msgspec
from aiohttp import hdrs, web
from faust.assignor.partition_assignor import PartitionAssignor

from ledger.adapters.workers.wire import BALANCE_PATH, ROUTES_PATH, WINDOWS_MAX, WINDOWS_PATH, Moved, Routes
from ledger.application.reading import WindowOf
from ledger.application.stream_reading import BalanceOf, StreamBalance, StreamWindows
from ledger.config import Settings
from ledger.contract.outgoing import record_key
from ledger.domain.life import Life
from ledger.domain.window import Window, WindowSize
from streams.transport.app import ChunkedApp

RETRY_AFTER_S = "1"

Handler = Callable[[web.Request], Awaitable[web.Response]]
Asked = TypeVar("Asked")


class Book(Protocol):
    """What is asked of the windows of a worker."""

    partitions: int

    def partition_of(self, key: bytes) -> int: ...
    def holds(self, partition: int) -> bool: ...
    def life(self, partition: int, tenant: str, account: str, asset: str) -> Life | None: ...
    def windows(
        self,
        partition: int,
        tenant: str,
        account: str,
        asset: str,
        size: WindowSize,
        first: int,
        before: int,
        limit: int,
    ) -> Sequence[tuple[int, Window]]: ...
    def kept_from(self, partition: int, size: WindowSize) -> int: ...
    def stream_time_us(self, partition: int) -> int | None: ...
    def fresh_at(self, partition: int) -> float | None: ...


class Membership(Protocol):
    """What a worker knows of its group."""

    def routes(self) -> Routes | None:
        """Say who holds what; None while that is being settled."""
        ...

    def is_mine(self, partition: int) -> bool:
        """Whether this worker is to hold a partition, though it may not have it yet."""
        ...


class GroupMembership:
    """The group of a Faust app, as its leader has told every member."""

    def __init__(self, app: ChunkedApp, topic: str, partitions: int) -> None:
        self._app = app
        self._topic = topic
        self._partitions = partitions

    def routes(self) -> Routes | None:
        generation = self._app.consumer_generation_id or 0
        if generation <= 0 or self._app.rebalancing:
            return None
        return Routes(generation, self._partitions, self._urls())

    def is_mine(self, partition: int) -> bool:
        return self._urls().get(partition) == _base(self._app.conf.canonical_url)

    def _urls(self) -> dict[int, str]:
        assignor = cast(PartitionAssignor, self._app.assignor)
        return {
            partition: _base(url)
            for url, topics in assignor.external_topic_distribution.items()
            for partition in topics.get(self._topic, ())
        }


def _base(url: object) -> str:
    return str(url).rstrip("/")


def add_window_routes(server: web.Application, book: Book, app: ChunkedApp, settings: Settings) -> None:
    """Serve the windows of a worker; without a token in the settings nothing is served."""
    if settings.internal_token is not None:
        group = GroupMembership(app, settings.entries_topic, book.partitions)
        WindowRoutes(book, group, settings.internal_token).add_to(server)


class _BalanceQuery(msgspec.Struct, frozen=True):
    tenant: str
    account: str
    asset: str

    @property
    def of(self) -> BalanceOf:
        return BalanceOf(self.tenant, self.account, self.asset)


class _WindowsQuery(_BalanceQuery, frozen=True):
    size: WindowSize
    first: int
    before: int
    limit: int


class WindowRoutes:
    """Answers 200; 421 for what another worker holds; 503 while nobody can tell; 401 without the token."""

    def __init__(self, book: Book, group: Membership, token: str) -> None:
        self._book = book
        self._group = group
        self._authorization = f"Bearer {token}".encode()

    def add_to(self, server: web.Application) -> None:
        server.add_routes(
            [
                web.get(path, self._guarded(handler))
                for path, handler in (
                    (BALANCE_PATH, self._balance),
                    (WINDOWS_PATH, self._windows),
                    (ROUTES_PATH, self._routes),
                )
            ]
        )

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.Response:
            given = request.headers.get(hdrs.AUTHORIZATION, "").encode(errors="surrogateescape")
            if not hmac.compare_digest(given, self._authorization):
                return web.Response(status=401, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
            return await handler(request)

        return guarded

    async def _routes(self, request: web.Request) -> web.Response:
        routes = self._group.routes()
        return _not_now() if routes is None else _json(routes)

    async def _balance(self, request: web.Request) -> web.Response:
        query = _read(request, _BalanceQuery)
        partition = self._partition(query)
        fresh_at_us = self._fresh_at_us(partition)
        if fresh_at_us is None:
            return self._not_held(partition)
        return _json(StreamBalance(query.of, self._life(partition, query), fresh_at_us))

    async def _windows(self, request: web.Request) -> web.Response:
        query = _read(request, _WindowsQuery)
        partition = self._partition(query)
        fresh_at_us = self._fresh_at_us(partition)
        if fresh_at_us is None:
            return self._not_held(partition)
        return _json(self._found(partition, query, fresh_at_us))

    def _found(self, partition: int, query: _WindowsQuery, fresh_at_us: int) -> StreamWindows:
        """Read the book without a break, so that all of the answer is of one moment."""
        found = self._book.windows(
            partition,
            query.tenant,
            query.account,
            query.asset,
            query.size,
            query.first,
            query.before,
            min(max(query.limit, 0), WINDOWS_MAX),
        )
        return StreamWindows(
            query.of,
            query.size,
            self._life(partition, query),
            fresh_at_us,
            self._book.kept_from(partition, query.size),
            self._book.stream_time_us(partition) or 0,
            [WindowOf(start, window) for start, window in found],
        )

    def _life(self, partition: int, query: _BalanceQuery) -> Life | None:
        return self._book.life(partition, query.tenant, query.account, query.asset)

    def _partition(self, query: _BalanceQuery) -> int:
        return self._book.partition_of(record_key(query.tenant, query.account))

    def _fresh_at_us(self, partition: int) -> int | None:
        """Say how fresh a partition is; None: it is not held here, or it was not caught up with yet."""
        fresh_at = self._book.fresh_at(partition) if self._book.holds(partition) else None
        return None if fresh_at is None else int(fresh_at * 1_000_000)

    def _not_held(self, partition: int) -> web.Response:
        routes = self._group.routes()
        if routes is None or self._group.is_mine(partition):
            return _not_now()
        moved = Moved(partition, routes.urls.get(partition), routes.generation)
        return _json(moved, status=421)


def _not_now() -> web.Response:
    return web.Response(status=503, headers={hdrs.RETRY_AFTER: RETRY_AFTER_S})


def _json(answer: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")


def _read(request: web.Request, kind: type[Asked]) -> Asked:
    """Read the query; raises HTTPBadRequest."""
    given: dict[str, Any] = dict(request.query)
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as fault:
        raise web.HTTPBadRequest(text=str(fault)) from fault
