"""TLS before a PostgreSQL that is built without it, as a pooler speaks it; what is not encrypted it refuses."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
ACCEPTED = b"S"
READ_BYTES = 64 * 1024


@asynccontextmanager
async def tls_front(certificate: Path, key: Path, server_port: int) -> AsyncIterator[int]:
    """Listen on a free port of 127.0.0.1, which is given, before the server at another."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    serve = partial(_serve, context, server_port)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _serve(
    context: ssl.SSLContext, server_port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    # Clients that do not believe the certificate hang up, and so does a server that stops.
    with suppress(OSError, asyncio.IncompleteReadError):
        if await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST:
            writer.write(ACCEPTED)
            await writer.drain()
            await writer.start_tls(context)
            from_server, to_server = await asyncio.open_connection("127.0.0.1", server_port)
            await asyncio.gather(_pump(reader, to_server), _pump(from_server, writer))
    writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
