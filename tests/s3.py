"""A store that speaks as much of S3 as the archive needs: objects put, put if absent, read in parts, and listed."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from xml.sax.saxutils import escape

from aiohttp import web

PAGE_KEYS = 3
STAMP = "2026-11-21T10:00:00.000Z"


class SmallS3:
    """One bucket; `failures` requests are answered 503 first, as S3 does when it is busy."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.failures = 0
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["SmallS3"]:
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_route("*", "/{bucket}/{name:.*}", self._answer)
        app.router.add_route("*", "/{bucket}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        name = request.match_info.get("name", "")
        if request.method == "PUT":
            return await self._put(name, request)
        if not name:
            return self._listed(request)
        if name not in self.contents:
            return web.Response(status=404)
        return _read(self.contents[name], request)

    async def _put(self, name: str, request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == "*" and name in self.contents:
            return web.Response(status=412)
        self.contents[name] = await request.read()
        return web.Response(headers={"ETag": _tag(self.contents[name])})

    def _listed(self, request: web.Request) -> web.Response:
        prefix, after = request.query.get("prefix", ""), request.query.get("continuation-token", "")
        names = sorted(name for name in self.contents if name.startswith(prefix) and name > after)
        page = names[:PAGE_KEYS]
        entries = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>{STAMP}</LastModified>"
            f"<ETag>{escape(_tag(self.contents[name]))}</ETag><Size>{len(self.contents[name])}</Size></Contents>"
            for name in page
        )
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if names != page else ""
        text = f"<ListBucketResult>{entries}{more}</ListBucketResult>"
        return web.Response(text=text, content_type="application/xml")


def _read(body: bytes, request: web.Request) -> web.Response:
    headers = {"ETag": _tag(body), "Last-Modified": formatdate(0, usegmt=True)}
    stretch = request.http_range
    if stretch.start is None and stretch.stop is None:
        return web.Response(body=body, headers=headers)
    begin, end, _ = stretch.indices(len(body))
    headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(body)}"
    return web.Response(status=206, body=body[begin:end], headers=headers)


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'
