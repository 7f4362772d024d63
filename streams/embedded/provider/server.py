"""The provider's HTTP server: charges, refunds and their status for the ledger; script and book for those who test."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import web

from ledger.contract.signature import SignatureRefusedError, verify_signature
from streams.embedded.provider.acting import Actor
from streams.embedded.provider.book import Book
from streams.embedded.provider.operations import Asked, Operations
from streams.embedded.provider.script import Script
from streams.embedded.provider.webhooks import WebhookSender

T = TypeVar("T")

BODY_BYTES_MAX = 256 * 1024
PAGE_LINES = 1000


def provider_app(
    book_file: Path, secrets: Sequence[bytes], webhook_url: str | None = None
) -> web.Application:
    """Make the application over a book; the first secret signs webhooks, each of them signs requests.

    With a URL for webhooks, those of a script that names none go there, and before any script all is told there.
    """
    server = Server(book_file, secrets, webhook_url)
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.cleanup_ctx.append(server.run)
    app.add_routes(
        [
            web.post("/v1/charges", server.charge),
            web.post("/v1/refunds", server.refund),
            web.get("/v1/operations/{key}", server.status),
            web.get("/health/ready", server.ready),
            web.get("/script", server.show_script),
            web.post("/script", server.set_script),
            web.get("/book", server.totals),
            web.get("/book/lines", server.lines),
        ]
    )
    return app


class Server:
    """The routes."""

    def __init__(self, book_file: Path, secrets: Sequence[bytes], webhook_url: str | None) -> None:
        self._book_file = book_file
        self._secrets = secrets
        self._webhook_url = webhook_url
        self._book: Book
        self._sender: WebhookSender
        self._actor: Actor

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """Open the book and keep writing it."""
        self._book = Book(self._book_file)
        async with WebhookSender.opened(self._secrets[0]) as self._sender:
            self._actor = Actor(Operations(self._book, time.time), self._sender, time.time, self._webhook_url)
            if (kept := self._book.script()) is not None:
                self._actor.follow(msgspec.json.decode(kept[0], type=Script), kept[1])
            writing = asyncio.create_task(self._book.run())
            yield
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
        self._book.close()

    async def charge(self, request: web.Request) -> web.StreamResponse:
        return await self._move(request, is_refund=False)

    async def refund(self, request: web.Request) -> web.StreamResponse:
        return await self._move(request, is_refund=True)

    async def status(self, request: web.Request) -> web.StreamResponse:
        await self._signed(request)
        return await self._actor.status(request, request.match_info["key"])

    async def ready(self, request: web.Request) -> web.Response:
        return web.json_response({"ready": True})

    async def show_script(self, request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._actor.script), content_type="application/json")

    async def set_script(self, request: web.Request) -> web.Response:
        """Follow another script from now on; kept over restarts."""
        script = _decoded(await request.read(), Script)
        now = time.time()
        await self._book.set_script(msgspec.json.encode(script), now)
        self._actor.follow(script, now)
        return await self.show_script(request)

    async def totals(self, request: web.Request) -> web.Response:
        found = await self._book.totals(time.time())
        counts = {"calls": self._actor.counts, "webhooks": self._sender.counts}
        return web.json_response({**found, **counts})

    async def lines(self, request: web.Request) -> web.StreamResponse:
        """Stream the lines of the book, one JSON object a line."""
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        after = 0
        while page := await self._book.page(after, PAGE_LINES):
            after = page[-1]["number"]
            await response.write("".join(json.dumps(line) + "\n" for line in page).encode())
        await response.write_eof()
        return response

    async def _move(self, request: web.Request, *, is_refund: bool) -> web.StreamResponse:
        asked = _decoded(await self._signed(request), Asked)
        if asked.key != request.headers.get("Idempotency-Key") or bool(asked.charge) is not is_refund:
            raise _bad("a key in the header as in the body; a charge to refund, for refunds only")
        return await self._actor.move(request, asked)

    async def _signed(self, request: web.Request) -> bytes:
        body = await request.read()
        purpose = f"{request.method} {request.raw_path}"
        try:
            verify_signature(self._secrets, request.headers, body, now_s=time.time(), purpose=purpose)
        except SignatureRefusedError as fault:
            raise web.HTTPUnauthorized(
                text=json.dumps({"error": fault.fault}), content_type="application/json"
            ) from fault
        return body


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        raise _bad(str(fault)) from fault


def _bad(detail: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": detail}), content_type="application/json")
