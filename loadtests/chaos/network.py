"""A network namespace for one worker: a real link to the rest, which can be cut, or lose one direction (root)."""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from loadtests.chaos.proxy import Proxy, proxied
from loadtests.chaos.servers import LOOPBACK
from loadtests.chaos.stage import Stage

IP = "ip"


class NetworkError(RuntimeError):
    """The network cannot be made as it is wanted; the message is of `ip`."""


class Namespace:
    """One namespace, in which the servers of the stage seem to listen where they do outside."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self._outside, self._inside = f"{name}o", f"{name}i"
        self.host = f"10.77.{number}.1"
        self.guest = f"10.77.{number}.2"

    @property
    def prefix(self) -> list[str]:
        """What runs a command in it."""
        return [shutil.which(IP) or IP, "netns", "exec", self.name]

    async def make(self) -> None:
        """Make it and its link; raises NetworkError."""
        await _ip("netns", "add", self.name)
        await _ip(
            "link", "add", self._outside, "type", "veth", "peer", "name", self._inside, "netns", self.name
        )
        await _ip("addr", "add", f"{self.host}/30", "dev", self._outside)
        await _ip("link", "set", self._outside, "up")
        await _ip("-n", self.name, "addr", "add", f"{self.guest}/30", "dev", self._inside)
        for device in (self._inside, "lo"):
            await _ip("-n", self.name, "link", "set", device, "up")

    async def remove(self) -> None:
        """Take it away, with its link."""
        await _ip("netns", "del", self.name)

    async def cut(self) -> None:
        """Take the link down: nothing passes, and nobody is told."""
        await _ip("link", "set", self._outside, "down")

    async def mend(self) -> None:
        """Take the link up again."""
        await _ip("link", "set", self._outside, "up")

    async def deafen(self) -> None:
        """Let nothing come to it any more; what it sends still arrives."""
        await _ip("route", "add", "blackhole", f"{self.guest}/32")

    async def undeafen(self) -> None:
        """Let it hear again."""
        await _ip("route", "del", "blackhole", f"{self.guest}/32")


@asynccontextmanager
async def apart(stage: Stage, random: Random) -> AsyncIterator[Namespace]:
    """Make a namespace from which the proxies of the stage can be reached; it is gone afterwards."""
    space = Namespace(f"ch{os.getpid() % 100_000}{random.randrange(100)}", random.randrange(1, 255))
    await space.make()
    try:
        ports = [proxy.listens[1] for proxy in stage.proxies.values()]
        outside = [Proxy(f"{space.name} {port}", (space.host, port), (LOOPBACK, port)) for port in ports]
        async with proxied(*outside), _inside(space, ports):
            yield space
    finally:
        await space.remove()


@asynccontextmanager
async def _inside(space: Namespace, ports: list[int]) -> AsyncIterator[Process]:
    pairs = [f"{LOOPBACK}:{port}={space.host}:{port}" for port in ports]
    command = (*space.prefix, sys.executable, "-m", "loadtests.chaos.proxy", *pairs)
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ip(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        shutil.which(IP) or IP, *arguments, stdout=PIPE, stderr=PIPE
    )
    _, said = await process.communicate()
    if process.returncode:
        raise NetworkError(f"ip {' '.join(arguments)}: {said.decode().strip()}")
