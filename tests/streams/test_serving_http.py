"""Who a request is from, for an API behind a proxy and one before which there is none."""

import asyncio
from typing import Any

import httpx
import pytest

from streams.serving_http import Server, listen


async def who(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with the address of the client."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


@pytest.mark.parametrize(
    ("trusted", "told"),
    [(None, "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.0/8, 10.0.0.0/8", "192.0.2.7")],
)
async def test_a_sender_is_named_by_a_proxy_that_is_trusted(trusted: str | None, told: str) -> None:
    with listen("127.0.0.1", 0) as bound:
        server = Server(who, bound, shutdown_s=1.0, trusted_proxies=trusted)
        serving = asyncio.create_task(server.run_on_socket())
        async with httpx.AsyncClient() as client:
            answer = await client.get(
                f"http://127.0.0.1:{server.port}/",
                headers={"X-Forwarded-For": "1.2.3.4, 192.0.2.7, 10.1.1.1"},
            )
        server.should_exit = True
        await serving
    assert answer.text == told
