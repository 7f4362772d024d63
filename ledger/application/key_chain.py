"""Who a presented key stands for: remembered for seconds, so that a revocation is felt soon and the books rest."""

import asyncio
import hmac
from collections.abc import Callable, Set
from typing import Protocol

import msgspec

from ledger.application.access import Caller
from ledger.application.api_keys import ApiKey, KeyText, hmac_of, parse_key
from ledger.application.faults import BusyError, OverloadedError, TransientFaultError
from ledger.application.ports import Clock
from ledger.observability.signals import Signals

REMEMBERED_S = 3.0
"""A key is looked up again after this long: so late is a revocation felt at most."""

UNKNOWN_S = 1.0
"""An id that nobody has is not looked up again for this long."""

AWAY_S = 300.0
"""A key is taken on trust for this long while the books are away: what needs no books goes on."""

BUSY_S = 30.0
"""Books that are only busy could have been told of a revocation: a key is taken on trust for no longer than this."""

USE_RECORDED_S = 60.0
"""How often a key's last use is written down."""

REMEMBERED_MAX = 10_000
STRANGERS_AT_ONCE = 2
STRANGERS_WAITING_MAX = 100


class KeyReader(Protocol):
    """Keys as the API may see them: one that was presented, by its id. May raise TransientFaultError."""

    async def presented(self, key_id: str) -> ApiKey | None: ...

    async def used(self, key_id: str) -> None:
        """Write down that the key was used now."""
        ...

    async def end_session(self, key_id: str, mark: str) -> None:
        """Write down that a session of the key has ended; `mark` begins with when it would have ended by itself."""
        ...


class _Remembered(msgspec.Struct):
    key: ApiKey | None
    caller: Caller | None
    looked_up_at: float
    written_down_at: float = -USE_RECORDED_S
    tried_at: float = -REMEMBERED_S
    """When the books were last asked in vain."""
    trusted_s: float = 0.0
    """The books cannot be asked: what was known counts for so long, and is looked up beside the requests."""


class KeyChain:
    """Accepts keys. `monotonic` counts seconds, from whenever."""

    def __init__(
        self,
        reader: KeyReader,
        clock: Clock,
        signals: Signals,
        key_secret: str,
        *,
        monotonic: Callable[[], float],
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._signals = signals
        self._key_secret = key_secret
        self._monotonic = monotonic
        self._known: dict[str, _Remembered] = {}
        self._looking: dict[str, asyncio.Task[_Remembered]] = {}
        self._ended: dict[str, frozenset[str]] = {}
        """Sessions that ended while their key was being looked up, which may not have seen it."""
        self._strangers = asyncio.Semaphore(STRANGERS_AT_ONCE)
        self._strangers_waiting = 0
        self._writing: set[asyncio.Task[None]] = set()

    async def caller_of(self, text: str) -> Caller | None:
        """Say whom a key stands for; None: it is none, or no longer. TransientFaultError, OverloadedError."""
        presented = parse_key(text)
        if presented is None:
            return None
        return self._accept(presented, await self._up_to_date(presented.key_id))

    async def holder_of(self, key_id: str, mark: str) -> Caller | None:
        """Say whom a key stands for that a session was begun with; None: nobody any longer, or the session has ended.

        For sessions, which are signed; `mark` is the session's. Raises TransientFaultError, OverloadedError.
        """
        known = await self._up_to_date(key_id)
        if known.key is None or not known.key.is_good_at(self._clock.now()):
            return None
        if mark in known.key.ended_sessions:
            return None
        self._write_down(known)
        return known.caller

    async def end_session(self, key_id: str, mark: str) -> None:
        """End a session: here at once, in other processes when they look the key up again.

        Raises TransientFaultError, OverloadedError.
        """
        await self._reader.end_session(key_id, mark)
        if key_id in self._looking:
            self._ended[key_id] = self._ended.get(key_id, frozenset()) | {mark}
        known = self._known.get(key_id)
        if known is not None and known.key is not None:
            known.key = _without(known.key, {mark})

    async def _up_to_date(self, key_id: str) -> _Remembered:
        known = self._known.get(key_id)
        if known is None or self._is_old(known):
            looking = self._look_up(key_id, known)
            if known is None or not self._is_trusted(known):
                known = await asyncio.shield(looking)
        return known

    async def close(self) -> None:
        """Wait for what is being written down."""
        await asyncio.gather(*self._writing, *self._looking.values(), return_exceptions=True)

    def _is_old(self, known: _Remembered) -> bool:
        kept_s = UNKNOWN_S if known.key is None else REMEMBERED_S
        return self._monotonic() - max(known.looked_up_at, known.tried_at) >= kept_s

    def _is_trusted(self, known: _Remembered) -> bool:
        return self._monotonic() - known.looked_up_at <= known.trusted_s

    def _accept(self, presented: KeyText, known: _Remembered) -> Caller | None:
        key = known.key
        if key is None or not key.is_good_at(self._clock.now()):
            return None
        if not hmac.compare_digest(hmac_of(presented.secret, self._key_secret), key.secret_hmac):
            return None
        self._write_down(known)
        return known.caller

    def _look_up(self, key_id: str, known: _Remembered | None) -> "asyncio.Task[_Remembered]":
        """Look a key up, once for all who ask at the same time."""
        task = self._looking.get(key_id)
        if task is None:
            task = self._looking[key_id] = asyncio.ensure_future(self._find(key_id, known))
            task.add_done_callback(lambda done: self._looked_up(key_id, done))
        return task

    def _looked_up(self, key_id: str, task: "asyncio.Task[_Remembered]") -> None:
        del self._looking[key_id]
        self._ended.pop(key_id, None)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._signals.emit("key.not_looked_up", key_id=key_id, error=str(fault))

    async def _find(self, key_id: str, known: _Remembered | None) -> _Remembered:
        if known is None or known.key is None:
            key = await self._find_stranger(key_id)
        else:
            try:
                key = await self._reader.presented(key_id)
            except (TransientFaultError, OverloadedError) as error:
                return self._trust(known, error)
        if key is not None:
            key = _without(key, self._ended.get(key_id, frozenset()))
        found = _Remembered(key, None if key is None else _caller(key), self._monotonic())
        if known is not None:
            found.written_down_at = known.written_down_at
        self._remember(key_id, found)
        return found

    async def _find_stranger(self, key_id: str) -> ApiKey | None:
        """Look up an id that may be anybody's guess: few at a time, so that guessing takes nothing from callers."""
        if self._strangers_waiting >= STRANGERS_WAITING_MAX:
            raise OverloadedError("too many unknown keys are being looked up")
        self._strangers_waiting += 1
        try:
            async with self._strangers:
                return await self._reader.presented(key_id)
        finally:
            self._strangers_waiting -= 1

    def _trust(self, known: _Remembered, error: Exception) -> _Remembered:
        now = self._monotonic()
        is_busy = isinstance(error, BusyError | OverloadedError)
        known.trusted_s = BUSY_S if is_busy else AWAY_S
        if not self._is_trusted(known):
            raise error
        # Books that hang are not waited for by every request.
        known.tried_at = now
        return known

    def _remember(self, key_id: str, found: _Remembered) -> None:
        self._known.pop(key_id, None)
        while len(self._known) >= REMEMBERED_MAX:
            del self._known[next(iter(self._known))]
        self._known[key_id] = found

    def _write_down(self, known: _Remembered) -> None:
        """Write down that a key is used, beside the request."""
        now = self._monotonic()
        if known.key is None or now - known.written_down_at < USE_RECORDED_S:
            return
        known.written_down_at = now
        task = asyncio.ensure_future(self._write(known.key.key_id))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, key_id: str) -> None:
        try:
            await self._reader.used(key_id)
        except (TransientFaultError, OverloadedError) as error:
            self._signals.emit("key.use_not_recorded", key_id=key_id, error=str(error))


def _without(key: ApiKey, ended: Set[str]) -> ApiKey:
    """Give a key whose sessions of these marks have ended."""
    return msgspec.structs.replace(key, ended_sessions=key.ended_sessions | ended)


def _caller(key: ApiKey) -> Caller:
    return Caller(key.tenant_id, key.tenant, key.key_id, key.scopes, key.expires_at)
