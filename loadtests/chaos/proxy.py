"""A TCP proxy that a fault can make slow, narrow, deaf, mute, or cut.

`python -m loadtests.chaos.proxy HOST:PORT=HOST:PORT …` passes connections on until it is ended, for a network
namespace in which nothing else listens.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

PIECE_BYTES = 64 * 1024
HELD_LOOK_S = 0.05
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: the close of the socket is a reset."""


@dataclass(slots=True)
class Weather:
    """What happens to bytes: `up` is towards the server. Delays in seconds, the rate in bytes a second (0: any)."""

    delay_s: float = 0.0
    bytes_s: float = 0.0
    holds_up: bool = False
    holds_down: bool = False
    cuts_after_bytes: int | None = None


class Proxy:
    """Passes connections on to one server, whose address may change."""

    def __init__(self, name: str, listens: tuple[str, int], server: tuple[str, int]) -> None:
        self.name = name
        self.listens = listens
        self.server = server
        self.weather = Weather()
        self.accepted = 0
        self._links: set[_Link] = set()
        self._listening: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"{self.listens[0]}:{self.listens[1]}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    async def start(self) -> None:
        """Take connections."""
        self._listening = await asyncio.start_server(self._serve, *self.listens, backlog=512)

    async def stop(self) -> None:
        """Take none, and cut all."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        self.reset()

    def clear(self) -> None:
        """Let the weather be fair again."""
        self.weather = Weather()

    def reset(self) -> int:
        """Cut every connection on both sides, with a reset; says how many there were."""
        links = list(self._links)
        for link in links:
            link.cut(both=True)
        return len(links)

    def half_open(self) -> int:
        """Cut the server's side of every connection; clients are not told. Says how many there were."""
        links = list(self._links)
        for link in links:
            link.cut(both=False)
        return len(links)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            server_reader, server_writer = await asyncio.open_connection(*self.server)
        except OSError:
            _cut(writer)
            return
        link = _Link(self, (reader, writer), (server_reader, server_writer))
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection: what comes from either side goes to the other."""

    def __init__(self, proxy: Proxy, client: Ends, server: Ends) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._silent = False
        self._passed = 0

    async def run(self) -> None:
        """Pass bytes until either side ends; then both are closed."""
        pumps = [
            asyncio.create_task(self._pump(self._client[0], self._server[1], up=True)),
            asyncio.create_task(self._pump(self._server[0], self._client[1], up=False)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            while self._silent and not pumps[0].done():  # noqa: ASYNC110 - the other side's end has no event
                await asyncio.sleep(HELD_LOOK_S)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for writer in (self._client[1], self._server[1]):
                writer.close()

    def cut(self, *, both: bool) -> None:
        """Reset the server's side; the client's as well, or it hears nothing any more."""
        self._silent = not both
        _cut(self._server[1])
        if both:
            _cut(self._client[1])

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if up and self._silent:
                    continue
                await self._wait(len(piece), up=up)
                writer.write(piece)
                await writer.drain()
                self._count(len(piece))

    async def _wait(self, length: int, *, up: bool) -> None:
        weather = self._proxy.weather
        if weather.delay_s:
            await asyncio.sleep(weather.delay_s)
        if weather.bytes_s:
            await asyncio.sleep(length / weather.bytes_s)
        while self._held(up=up):  # noqa: ASYNC110 - the weather has no event
            await asyncio.sleep(HELD_LOOK_S)

    def _held(self, *, up: bool) -> bool:
        weather = self._proxy.weather
        return weather.holds_up if up else weather.holds_down

    def _count(self, length: int) -> None:
        self._passed += length
        limit = self._proxy.weather.cuts_after_bytes
        if limit is not None and self._passed > limit:
            self.cut(both=True)


def _cut(writer: asyncio.StreamWriter) -> None:
    """Close at once, with a reset."""
    wire: Any = writer.get_extra_info("socket")
    if wire is not None:
        with suppress(OSError):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


@asynccontextmanager
async def proxied(*proxies: Proxy) -> AsyncIterator[None]:
    """Run proxies to the end of the block."""
    try:
        for proxy in proxies:
            await proxy.start()
        yield
    finally:
        for proxy in proxies:
            await proxy.stop()


def address(text: str) -> tuple[str, int]:
    """Read host:port."""
    host, _, port = text.rpartition(":")
    return host, int(port)


async def _pass_on(pairs: Sequence[str]) -> None:
    ends = [pair.split("=") for pair in pairs]
    async with proxied(*(Proxy(here, address(here), address(there)) for here, there in ends)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_pass_on(sys.argv[1:]))
