"""Look up names of hosts in threads of one's own: a resolver that hangs holds up no other provider."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, NamedTuple

from aiohttp.abc import AbstractResolver, ResolveResult

from ledger.application.breaker import Monotonic

KEPT_S = 5.0
"""So long an answer is used again."""
HANGS_S = 5.0
"""A lookup without an answer for so long is left alone, and another begun."""
THREADS_MAX = 2
"""So many lookups run at a time; one that hangs cannot be ended."""

LookUp = Callable[[str, int, socket.AddressFamily], list[ResolveResult]]


class _Name(NamedTuple):
    host: str
    port: int
    family: socket.AddressFamily


class _Known(NamedTuple):
    results: list[ResolveResult]
    at: float


class _Asked(NamedTuple):
    answer: "asyncio.Future[list[ResolveResult] | OSError]"
    at: float


class Lookups(AbstractResolver):
    """Of one provider: who asks for a name while it is looked up waits for that answer, and may give up waiting."""

    def __init__(self, monotonic: Monotonic, look_up: LookUp | None = None) -> None:
        self._monotonic = monotonic
        self._look_up = look_up or look_up_by_system
        self._known: dict[_Name, _Known] = {}
        self._asked: dict[_Name, _Asked] = {}
        self._running = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Give the addresses of a host, a few seconds old at most; raises OSError."""
        name = _Name(host, port, family)
        known = self._known.get(name)
        if known is not None and self._monotonic() - known.at < KEPT_S:
            return known.results
        # Shielded: others wait for it as well.
        found = await asyncio.shield(self._ask(name).answer)
        if isinstance(found, OSError):
            raise type(found)(*found.args) from found
        return found

    async def close(self) -> None:
        """Forget what is known; a lookup that hangs is left to end by itself."""
        self._known.clear()

    def _ask(self, name: _Name) -> _Asked:
        now = self._monotonic()
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = _Asked(asyncio.get_running_loop().create_future(), now)
            self._begin(name, asked)
        elif now - asked.at >= HANGS_S:
            asked = self._asked[name] = _Asked(asked.answer, now)
            self._begin(name, asked)
        return asked

    def _begin(self, name: _Name, asked: _Asked) -> None:
        """Begin a lookup, unless too many hang: then the first of them that ends has the answer."""
        if self._running >= THREADS_MAX:
            return
        self._running += 1
        loop = asyncio.get_running_loop()

        def work() -> None:
            found = _found(self._look_up, name)
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                loop.call_soon_threadsafe(self._ended, name, asked, found)

        # A daemon, unlike the threads of an executor: one that hangs must not keep the process from its end.
        Thread(target=work, name=f"look up {name.host}", daemon=True).start()

    def _ended(self, name: _Name, asked: _Asked, found: "list[ResolveResult] | OSError") -> None:
        self._running -= 1
        if not isinstance(found, OSError):
            self._known[name] = _Known(found, self._monotonic())
        if not asked.answer.done():
            asked.answer.set_result(found)
            self._asked.pop(name)


def look_up_by_system(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    """Ask the system's resolver, which may take long; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=_written(address),
            port=int(address[1]),
            family=each,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for each, _, protocol, _, address in found
    ]


def _written(address: tuple[Any, ...]) -> str:
    scope = f"%{address[3]}" if len(address) > 3 and address[3] else ""
    return f"{address[0]}{scope}"


def _found(look_up: LookUp, name: _Name) -> "list[ResolveResult] | OSError":
    try:
        return look_up(*name)
    except OSError as fault:
        return fault
    except UnicodeError as fault:  # a name that is none
        return OSError(f"{name.host}: {fault}")
