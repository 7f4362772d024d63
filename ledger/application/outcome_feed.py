"""Who wants to hear of which outcome: waiters for one event, listeners to one account; pure bookkeeping, no I/O."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from ledger.domain.outcome import OutcomeKind

WAITERS_MAX = 20_000
"""Events waited for at once; who comes later is told to ask again, rather than kept in memory."""
TENANT_SHARE = 0.25
"""So much of that may be one tenant's."""


class Touched(msgspec.Struct, frozen=True, gc=False):
    """A balance that an outcome changed. `version` None: what is held changed, of an asset that is not told."""

    account: str
    asset: str | None
    version: int | None


class Notice(msgspec.Struct, frozen=True, gc=False):
    """An outcome as the feed saw it; `fingerprint` is its event's, `value` the bytes of the outcome's CloudEvent."""

    tenant: str
    event_id: str
    kind: OutcomeKind
    fingerprint: bytes | None
    posted_at: datetime | None
    touched: Sequence[Touched]
    value: bytes


class Awaited(msgspec.Struct, frozen=True):
    """An event whose outcome is waited for: another event under the same id has another fingerprint."""

    tenant: str
    event_id: str
    fingerprint: bytes


Waiter = tuple[bytes, "asyncio.Future[Notice]"]


class OutcomeFeed:
    """Hands each notice to those who asked for it: only ever to the tenant whose outcome it is."""

    def __init__(self, *, waiters_max: int = WAITERS_MAX) -> None:
        self._waiters: dict[tuple[str, str], list[Waiter]] = defaultdict(list)
        self._listeners: dict[tuple[str, str], list[Callable[[], None]]] = defaultdict(list)
        self._observers: list[Callable[[Notice], None]] = []
        self._waiters_max = waiters_max
        self._waiting_of: Counter[str] = Counter()
        self.waiting = 0
        self.is_following = False
        """Whether the topic is read and what is read is fresh; while not, nobody need wait."""

    def observe(self, observer: Callable[[Notice], None]) -> None:
        """Have `observer` called with every notice."""
        self._observers.append(observer)

    @contextmanager
    def awaiting(self, events: Sequence[Awaited]) -> Iterator[list["asyncio.Future[Notice]"]]:
        """Register for outcomes before the events are sent; none, where too many wait already."""
        if not self._has_room(events):
            yield []
            return
        futures = [self._register(each) for each in events]
        try:
            yield futures
        finally:
            for each, future in zip(events, futures, strict=True):
                self._unregister(each, future)

    @contextmanager
    def listening(self, tenant: str, account: str, listener: Callable[[], None]) -> Iterator[None]:
        """Have `listener` called when something touches the account, or when notices may have been missed."""
        key = (tenant, account)
        self._listeners[key].append(listener)
        try:
            yield
        finally:
            self._listeners[key].remove(listener)
            if not self._listeners[key]:
                del self._listeners[key]

    def hear(self, notice: Notice) -> None:
        """Hand one notice on."""
        for fingerprint, future in self._waiters.get((notice.tenant, notice.event_id), ()):
            if notice.fingerprint == fingerprint and not future.done():
                future.set_result(notice)
        for account in {each.account for each in notice.touched} if self._listeners else ():
            for listener in self._listeners.get((notice.tenant, account), ()):
                listener()
        for observer in self._observers:
            observer(notice)

    def missed(self) -> None:
        """Tell every listener that notices may have been missed."""
        for listeners in list(self._listeners.values()):
            for listener in listeners:
                listener()

    def _has_room(self, events: Sequence[Awaited]) -> bool:
        if self.waiting + len(events) > self._waiters_max:
            return False
        asked = Counter(each.tenant for each in events)
        share = self._waiters_max * TENANT_SHARE
        return all(self._waiting_of[tenant] + count <= share for tenant, count in asked.items())

    def _register(self, awaited: Awaited) -> "asyncio.Future[Notice]":
        future: asyncio.Future[Notice] = asyncio.get_running_loop().create_future()
        self._waiters[(awaited.tenant, awaited.event_id)].append((awaited.fingerprint, future))
        self.waiting += 1
        self._waiting_of[awaited.tenant] += 1
        return future

    def _unregister(self, awaited: Awaited, future: "asyncio.Future[Notice]") -> None:
        key = (awaited.tenant, awaited.event_id)
        left = [each for each in self._waiters[key] if each[1] is not future]
        self.waiting -= 1
        self._waiting_of[awaited.tenant] -= 1
        if not self._waiting_of[awaited.tenant]:
            del self._waiting_of[awaited.tenant]
        if left:
            self._waiters[key] = left
        else:
            del self._waiters[key]


def outcome_of(notice: Notice) -> dict[str, Any]:
    """Give the data of an outcome, with its status: posted, rejected or duplicate."""
    data: dict[str, Any] = msgspec.json.decode(notice.value)["data"]
    return {"status": notice.kind, **data}
