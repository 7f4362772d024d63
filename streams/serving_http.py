"""Serve ASGI applications by uvicorn, from a socket that was bound before, until a signal says to stop."""

import asyncio
import math
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, ip_network
from typing import Any

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ledger.api.problems import CONTENT_TYPE, MalformedRequestError

KEEP_ALIVE_S = 75
"""Longer than the load balancers in front, usually 60: otherwise they send requests on connections that just ended."""


class ListenError(Exception):
    """The address cannot be listened on."""


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Bind a socket; raises ListenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
            # Whoever else wants the port is told now, not when the server starts.
            bound.listen()
        except OSError as error:
            raise ListenError(f"{host}:{port} cannot be listened on: {error.strerror or error}.") from error
        bound.setblocking(False)
        yield bound


def port_of(bound: socket.socket) -> int:
    port: int = bound.getsockname()[1]
    return port


def with_mapped(proxies: str) -> list[str]:
    """List addresses and networks, with commas between, each IPv4 one also as a socket for both families has it."""
    given = [each.strip() for each in proxies.split(",") if each.strip()]
    networks = [ip_network(each) for each in given]
    mapped = [
        f"::ffff:{each.network_address}/{96 + each.prefixlen}"
        for each in networks
        if isinstance(each, IPv4Network)
    ]
    return [*given, *mapped]


class ProblemProtocol(HttpToolsProtocol):
    """Answers what cannot be read as a request in the way of all other refusals."""

    def send_400_response(self, msg: str) -> None:
        problem = MalformedRequestError(msg)
        body = orjson.dumps(problem.document(""))
        head = (
            f"HTTP/1.1 {problem.status} Bad Request\r\ncontent-type: {CONTENT_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class Server(uvicorn.Server):
    """One application on one socket; signals are left to whoever runs it."""

    def __init__(
        self, app: Any, bound: socket.socket, *, shutdown_s: float, trusted_proxies: str | None = None
    ) -> None:
        """Of `trusted_proxies`, addresses and networks with commas between, `X-Forwarded-For` is believed."""
        super().__init__(
            uvicorn.Config(
                app,
                http=ProblemProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=with_mapped(trusted_proxies or ""),
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=math.ceil(shutdown_s),
            )
        )
        self._bound = bound

    @property
    def port(self) -> int:
        return port_of(self._bound)

    async def run_on_socket(self) -> None:
        """Serve until `should_exit` is set."""
        await self.serve(sockets=[self._bound])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: uvicorn would end the process by the very signal that it had shut down for."""
        yield


async def serve_until_stopped(
    servers: Sequence[Server], on_started: Callable[[], None], on_stop: Callable[[], None]
) -> None:
    """Serve all until SIGTERM or SIGINT; then stop them one after the other, in order."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    running = [asyncio.ensure_future(server.run_on_socket()) for server in servers]
    on_started()
    waiting = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait([waiting, *running], return_when=asyncio.FIRST_COMPLETED)
        on_stop()
        for server, task in zip(servers, running, strict=True):
            server.should_exit = True
            await task
    finally:
        waiting.cancel()
        for task in running:
            task.cancel()
