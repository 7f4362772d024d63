"""Who a request is from, for an API behind a proxy and one before which there is none."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from streams.serving_http import Server, listen, with_mapped


async def who(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with the address of the client."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


@pytest.mark.parametrize(
    ("trusted", "told"),
    [(None, "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.0/8, 10.0.0.0/8", "192.0.2.7")],
)
async def test_a_sender_is_named_by_a_proxy_that_is_trusted(trusted: str | None, told: str) -> None:
    assert await told_by("127.0.0.1", trusted) == told


@pytest.mark.parametrize(
    ("trusted", "told"),
    [
        (None, "::ffff:127.0.0.1"),
        ("10.0.0.0/8", "::ffff:127.0.0.1"),
        ("127.0.0.1, 10.0.0.0/8", "192.0.2.7"),
        ("127.0.0.0/8,10.1.1.1", "192.0.2.7"),
        ("::ffff:127.0.0.1,10.1.1.1", "192.0.2.7"),
    ],
)
async def test_a_proxy_of_ipv4_is_trusted_by_a_socket_for_both_families(
    trusted: str | None, told: str
) -> None:
    assert await told_by("::", trusted) == told


def test_networks_are_mapped_with_their_lengths() -> None:
    assert with_mapped("10.0.0.0/8, 192.0.2.1,2001:db8::/32") == [
        "10.0.0.0/8",
        "192.0.2.1",
        "2001:db8::/32",
        "::ffff:10.0.0.0/104",
        "::ffff:192.0.2.1/128",
    ]


@pytest.mark.parametrize(
    "request_",
    [
        b"BREW /v1/accounts HTTP/1.1\r\nHost: x\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /v1/accounts HTTP/1.1\r\nno header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_is_no_request_is_answered_with_a_problem_document(request_: bytes) -> None:
    with listen("127.0.0.1", 0) as bound:
        server = Server(who, bound, shutdown_s=1.0)
        serving = asyncio.create_task(server.run_on_socket())
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request_)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        server.should_exit = True
        await serving
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert (json.loads(body)["code"], json.loads(body)["status"]) == ("malformed_request", 400)


async def told_by(host: str, trusted: str | None) -> str:
    """Who a server takes a request by IPv4 to be from, that says where it was forwarded from."""
    with listen(host, 0) as bound:
        server = Server(who, bound, shutdown_s=1.0, trusted_proxies=trusted)
        serving = asyncio.create_task(server.run_on_socket())
        async with httpx.AsyncClient() as client:
            answer = await client.get(
                f"http://127.0.0.1:{server.port}/",
                headers={"X-Forwarded-For": "1.2.3.4, 192.0.2.7, 10.1.1.1"},
            )
        server.should_exit = True
        await serving
    return answer.text
