"""Ways in which the provider fails to answer: wrong codes, cut connections, nonsense, silence."""

import asyncio
import json
import socket
import struct
import time
from email.utils import formatdate
from typing import Any

from aiohttp import web

from streams.embedded.provider.script import Form, Rule

HANG_S_MAX = 600.0
HUGE_BYTES = 1024**2


def reset(request: web.Request) -> web.Response:
    """Cut the connection, so that the caller sees it reset."""
    transport = request.transport
    if transport is not None:
        given: socket.socket | None = transport.get_extra_info("socket")
        if given is not None:
            given.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def hang(request: web.Request) -> web.Response:
    """Say nothing until the caller has gone, or for very long."""
    await asyncio.sleep(HANG_S_MAX)
    return reset(request)


def put_off(rule: Rule) -> web.Response:
    """Answer 429 or 503, with when to come again."""
    code = 429 if rule.do == "throttle" else 503
    return web.json_response({"error": rule.do}, status=code, headers=_retry_after(rule))


def redirected() -> web.Response:
    """Send the caller elsewhere, where it must not go."""
    return web.Response(status=307, headers={"Location": "http://169.254.169.254/latest/meta-data"})


async def malformed(request: web.Request, form: Form, verdict: dict[str, Any]) -> web.StreamResponse:
    """Answer what is nearly right: `verdict` is what would be."""
    if form == "cut":
        return await _cut(request, json.dumps(verdict).encode())
    if form == "huge":
        body = json.dumps(verdict) + " " * HUGE_BYTES
    else:
        body = json.dumps(_bent(form, verdict)) if form in _BENT else _NONSENSE[form]
    return web.Response(text=body, content_type="application/json")


_BENT = ("other_key", "other_amount", "no_reference")
_NONSENSE = {
    "empty": "",
    "text": "<html>It works!</html>",
    "list": "[]",
    "deep": "[" * 20_000,
}


def _bent(form: Form, verdict: dict[str, Any]) -> dict[str, Any]:
    if form == "no_reference":
        return {name: value for name, value in verdict.items() if name not in ("reference", "reason")}
    return {
        **verdict,
        **({"key": "another"} if form == "other_key" else {"amount": verdict.get("amount", 0) + 1}),
    }


async def _cut(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[:-1])
    reset(request)
    return response


def _retry_after(rule: Rule) -> dict[str, str]:
    if rule.retry_after_s is None:
        return {}
    if rule.retry_after_date:
        return {"Retry-After": formatdate(time.time() + rule.retry_after_s, usegmt=True)}
    return {"Retry-After": str(int(rule.retry_after_s))}
