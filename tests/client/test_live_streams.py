"""Balances as they change: server-sent events as the API writes them, through breaks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ledger.client import HttpClient, LiveBalance, UnauthorizedError, UnavailableError
from ledger.client.live import Told, events_of
from tests.client.api_double import problem

MEMBERS = '"posted_debits":0,"posted_credits":9,"balance":9,"held":0,"available":9'
TIME = '"as_of":"2026-11-21T10:00:00Z"'
SNAPSHOT = f'{{"account":"ann","balances":[{{"asset":"JPY/0",{MEMBERS},"version":1,{TIME}}}]}}'
BALANCE = f'{{"account":"ann","asset":"USD/2",{MEMBERS},"version":5,{TIME}}}'


async def lines(text: str) -> AsyncIterator[bytes]:
    for line in text.encode().splitlines(keepends=True):
        yield line


async def gather(balances: AsyncIterator[LiveBalance], found: list[LiveBalance]) -> None:
    async for balance in balances:
        found.append(balance)  # noqa: PERF401 - what came before the fault counts


async def test_events_are_told_from_comments_and_from_what_was_cut_off() -> None:
    text = "retry: 2000\n\nid: a\nevent: balance\ndata: {}\n\n: still here\n\ndata: last\n"
    assert [each async for each in events_of(lines(text))] == [Told("a", "balance", "{}")]


async def test_a_stream_is_taken_up_again_where_it_was() -> None:
    seen: list[str | None] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Last-Event-ID"))
        if len(seen) == 3:
            return problem(401, "unauthenticated")
        body = (
            f"retry: 2000\n\nid: one\nevent: snapshot\ndata: {SNAPSHOT}\n\n"
            if len(seen) == 1
            else f": still here\n\nid: two\nevent: balance\ndata: {BALANCE}\n\nevent: later\ndata: x\n\n"
        )
        return web.Response(text=body, content_type="text/event-stream")

    app = web.Application()
    app.router.add_get("/v1/accounts/ann/stream", stream)
    found: list[LiveBalance] = []
    async with TestServer(app) as server, HttpClient(str(server.make_url("")), "lk_key") as client:
        with pytest.raises(UnauthorizedError):
            await asyncio.wait_for(gather(client.watch("ann"), found), 10)
    assert [(each.account, each.asset, each.version) for each in found] == [
        ("ann", "JPY/0", 1),
        ("ann", "USD/2", 5),
    ]
    assert seen == [None, "one", "two"]


@asynccontextmanager
async def streaming(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[HttpClient]:
    """Give a client, with a deadline of 0.2 s, of an API whose streams are answered so."""
    app = web.Application()
    app.router.add_get("/v1/accounts/ann/stream", answer)
    async with (
        TestServer(app) as server,
        HttpClient(str(server.make_url("")), "lk_key", deadline_s=0.2) as client,
    ):
        yield client


async def test_a_quiet_account_is_followed_through_breaks() -> None:
    calls = 0

    async def stream(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls == 5:
            return problem(401, "unauthenticated")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(2):
            await response.write(b": still here\n\n")
            await asyncio.sleep(0.15)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with streaming(stream) as client:
        with pytest.raises(UnauthorizedError):
            await asyncio.wait_for(gather(client.watch("ann"), []), 10)


@pytest.mark.parametrize(("body", "kind"), [("", "text/event-stream"), ("a proxy\n\n", "text/html")])
async def test_a_stream_that_never_says_anything_is_given_up(body: str, kind: str) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, content_type=kind)

    async with streaming(stream) as client:
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(gather(client.watch("ann"), []), 10)


async def test_the_deadline_starts_at_the_first_failure() -> None:
    calls = 0

    async def stream(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls == 3:  # aiohttp itself asks once more
            return problem(401, "unauthenticated")
        await asyncio.sleep(0.4)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with streaming(stream) as client:
        with pytest.raises(UnauthorizedError):
            await asyncio.wait_for(gather(client.watch("ann"), []), 10)
