"""A part: what the supervisor must know about one server to start it, watch it and stop it."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from streams.embedded.account import Account

Command = Callable[[], Awaitable[Sequence[str]]]
Probe = Callable[[], Awaitable[bool]]

PROBE_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Part:
    """`command` is asked before every start, so it may first make or repair what the server needs."""

    name: str
    command: Command
    ready: Probe
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 20.0
    start_timeout_s: float = 60.0
    url: str | None = None
    niceness: int = 0
    """How far it lets others go first, from 0 to 19."""


def inherited(**changes: str) -> dict[str, str]:
    """The environment of this process with changes: for our own programs."""
    return {**os.environ, **changes}


def bare() -> dict[str, str]:
    """Only what a foreign server needs: a PGPORT or a JAVA_TOOL_OPTIONS of the user's is not meant for it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


async def is_ready(probe: Probe) -> bool:
    """The probe's answer; no answer in time, or a fault, is a no."""
    with suppress(Exception):
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return await probe()
    return False


async def accepts(port: int) -> bool:
    """Whether something on the loopback takes connections on this port."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def answers(port: int, path: str) -> bool:
    """Whether GET of `path` on this port of the loopback gives 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return (await reader.readline()).split()[1:2] == [b"200"]
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
