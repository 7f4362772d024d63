"""The audit chain, kept up: what the stream says was posted gets its link, and so does what it did not say."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec

from ledger.application.ports import Clock
from ledger.domain.books import EventKey
from ledger.domain.chain import ChainedTransaction, Head, Link
from ledger.domain.moments import EPOCH
from ledger.observability.signals import Signals

UNKNOWN_TOLD_MAX = 10
"""Of one chunk; the metric counts them all."""


class Appended(msgspec.Struct, frozen=True):
    """What came of transactions that were to be linked."""

    links: int
    """How many were new; the others had their link."""
    unknown: Sequence[EventKey] = ()
    """Those that the books do not have."""


class ChainDamagedError(Exception):
    """Links of a tenant stand after the end of its chain: somebody changed one or the other."""

    def __init__(self, tenant: str, number: int) -> None:
        super().__init__(
            f"the head of the chain of {tenant} says that it ends with link {number}, and links come after that: "
            "somebody changed it. Nothing more can be linked; `ledger chain verify` says what was changed."
        )


class ChainStore(Protocol):
    """The chains of all tenants, where they grow. Every method may raise TransientFaultError."""

    async def append(self, keys: Sequence[EventKey], *, late: bool = False) -> Appended:
        """Link transactions onto their tenants' chains, in the order given, all or none; each once for ever.

        Raises ChainDamagedError where the links would stand in the place of others.
        """
        ...

    async def complete_before(self) -> datetime | None:
        """Give the time before which all has its link, as `complete` noted it."""
        ...

    def unlinked(self, since: datetime | None, before: datetime) -> AsyncGenerator[Sequence[EventKey], None]:
        """Find what was posted between two times and has no link, in the order of times and ids, page by page.

        Only what was claimed by an event, or has an id so old that its claim was dropped, and not older than it could
        be when it was posted: nothing else was posted by us.
        """
        ...

    async def begin_sweep(self) -> datetime:
        """Give the mark that `complete` left, or whoever lowered it; before 1970 where no sweep has ended yet."""
        ...

    async def complete(self, before: datetime, mark: datetime) -> None:
        """Note that everything that was posted before a time, and claimed, has its link.

        It is not noted if `mark`, as `begin_sweep` gave it, was lowered since.
        """
        ...

    async def lower(self, at: datetime) -> None:
        """Note that what was posted at a time or later, or now under such a time, may have no link yet."""
        ...


class Linked(NamedTuple):
    """A link, and its transaction as it stands in the books, if it does."""

    link: Link
    transaction: ChainedTransaction | None


class ChainSnapshot(Protocol):
    """The chains and the books at one moment, to be checked or exported."""

    async def heads(self) -> Mapping[str, Head]:
        """Give the head of each tenant's chain, in the order of tenants by their bytes."""
        ...

    async def tenants(self) -> Sequence[str]:
        """Name the tenants that have links, in the same order."""
        ...

    async def linked(self, tenant: str, after: int, limit: int) -> Sequence[Linked]:
        """Read links of a tenant from after a number, with their transactions."""
        ...

    async def links(self, tenant: str, after: int, limit: int) -> Sequence[Link]:
        """Read links of a tenant from after a number."""
        ...

    async def complete_before(self) -> datetime | None:
        """Give the time before which all has its link; None: not known yet."""
        ...

    async def unlinked(self, before: datetime, limit: int) -> Sequence[EventKey]:
        """Find what stands there as posted before a time and has no link, whoever put it there."""
        ...


class Chains(Protocol):
    """Chains of which snapshots can be taken."""

    def snapshot(self) -> AbstractAsyncContextManager[ChainSnapshot]: ...


class ChainTransactions:
    """Links what was posted; safe to do again."""

    def __init__(self, store: ChainStore, clock: Clock, settle: timedelta, signals: Signals) -> None:
        self._store = store
        self._clock = clock
        self._settle = settle
        self._signals = signals

    async def follow(self, keys: Sequence[EventKey]) -> Appended:
        """Link what the stream says was posted; raises TransientFaultError."""
        appended = await self._store.append(list(dict.fromkeys(keys)))
        for tenant, event in appended.unknown[:UNKNOWN_TOLD_MAX]:
            self._signals.emit("chain.transaction_not_there", tenant=tenant, event_id=event)
        self._signals.emit("chain.extended", links=appended.links, unknown=len(appended.unknown), late=False)
        return appended

    async def catch_up(self) -> int:
        """Link what the stream did not say, if it was posted long enough ago; raises TransientFaultError."""
        before = self._clock.now() - self._settle
        mark = await self._store.begin_sweep()
        since = None if mark <= EPOCH else mark - self._settle
        links = 0
        async with aclosing(self._store.unlinked(since, before)) as pages:
            async for keys in pages:
                links += (await self._store.append(keys, late=True)).links
        await self._store.complete(before, mark)
        if links:
            self._signals.emit("chain.caught_up", links=links, before=before)
            self._signals.emit("chain.extended", links=links, unknown=0, late=True)
        return links
