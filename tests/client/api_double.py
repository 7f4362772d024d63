"""An API that answers as it is told, over real HTTP on this machine."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Reply = Callable[[web.Request], web.StreamResponse] | web.StreamResponse


@dataclass
class Asked:
    """One call that came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class ApiDouble:
    """Gives its replies in their order, the last again and again; None breaks the connection."""

    replies: Sequence[web.Response | None]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(Asked(request.method, request.path, request.query, request.headers, body))
        reply = self.replies[min(len(self.asked), len(self.replies)) - 1]
        if reply is None:
            transport = request.transport
            assert transport is not None
            transport.abort()
            return web.Response()
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    @property
    def calls(self) -> list[tuple[str, str]]:
        return [(each.method, each.path) for each in self.asked]


@asynccontextmanager
async def answering(*replies: web.Response | None) -> AsyncIterator[ApiDouble]:
    double = ApiDouble(replies)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", double.answer)
    async with TestServer(app) as server:
        double.url = str(server.make_url(""))
        yield double


def problem(status: int, code: str, retry_after: str | None = None, **members: Any) -> web.Response:
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    document = {"status": status, "code": code, "detail": f"about {code}", "title": code, **members}
    return web.json_response(
        document, status=status, headers=headers, content_type="application/problem+json"
    )


def submitted(*outcomes: Mapping[str, Any], pending: Sequence[str] = ()) -> web.Response:
    ids = [*(each["event_id"] for each in outcomes), *pending]
    return web.json_response({"ids": ids, "outcomes": list(outcomes), "pending": list(pending)})


def outcome(event_id: str, status: str = "posted", **members: Any) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "event_type": "transfer.post.v1",
        "status": status,
        "posted_at": "2026-11-21T10:00:00Z",
        **members,
    }
