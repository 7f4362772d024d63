"""Live balances: one reading of the books for all who watch an account, whenever something touched it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ledger.application.access import Caller
from ledger.application.open_streams import OpenStreams
from ledger.application.outcome_feed import OutcomeFeed
from ledger.application.reading import AccountView, BalanceReader
from ledger.observability.signals import Signals

PUSH_S = 0.1
"""Changes of an account within this time are read together."""
RETRY_S = 1.0


class Watch:
    """One watcher's view of an account: the newest alone, however slowly it is taken."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self._newest: AccountView | None = None
        self._fault: Exception | None = None
        self._has_news = asyncio.Event()
        self._has_begun = False
        self.ask = ask
        """Has the account read again, whether anything touched it or not."""

    async def next(self) -> AccountView | None:
        """Wait for a newer view; None: there is no such account. Raises what the first reading raised."""
        await self._has_news.wait()
        self._has_news.clear()
        if self._fault is not None:
            raise self._fault
        return self._newest

    def offer(self, view: AccountView | None) -> None:
        self._newest, self._has_begun = view, True
        self._has_news.set()

    def fail(self, fault: Exception) -> None:
        """Tell a watcher who has seen nothing yet; one who has, waits for the books to come back."""
        if not self._has_begun:
            self._fault = fault
            self._has_news.set()


class _Shared:
    """What those who watch one account share."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self.touched = asyncio.Event()
        self.task: asyncio.Task[None]


class LiveBalances:
    """Counts streams, and reads each watched account in one task for all who watch it."""

    def __init__(
        self,
        books: BalanceReader,
        feed: OutcomeFeed,
        signals: Signals,
        *,
        streams_max: int,
        tenant_streams_max: int,
        push_s: float = PUSH_S,
    ) -> None:
        self._books = books
        self._feed = feed
        self._signals = signals
        self._open = OpenStreams(streams_max, tenant_streams_max)
        self._push_s = push_s
        self._shared: dict[tuple[int, str], _Shared] = {}
        self.readings = 0

    @property
    def streams(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def watching(self, caller: Caller, account: str) -> AsyncIterator[Watch]:
        """Watch an account of a caller's tenant. Raises TooManyStreamsError."""
        with self._open.one_more(caller.tenant_id):
            key = (caller.tenant_id, account)
            shared = self._shared.get(key) or self._begin(caller, account)
            watch = Watch(shared.touched.set)
            shared.watches.add(watch)
            watch.ask()
            try:
                yield watch
            finally:
                shared.watches.remove(watch)
                if not shared.watches:
                    self._shared.pop(key)
                    shared.task.cancel()

    def _begin(self, caller: Caller, account: str) -> _Shared:
        shared = self._shared[(caller.tenant_id, account)] = _Shared()
        shared.task = asyncio.create_task(self._keep_reading(shared, caller, account))
        return shared

    async def _keep_reading(self, shared: _Shared, caller: Caller, account: str) -> None:
        with self._feed.listening(caller.tenant, account, shared.touched.set):
            while True:
                await shared.touched.wait()
                shared.touched.clear()
                # Who comes while it is being read has asked for another reading, one that begins after that.
                watches = list(shared.watches)
                try:
                    self.readings += 1
                    view = await self._books.account(caller.tenant_id, account)
                except Exception as fault:
                    self._signals.emit("live.not_read", tenant=caller.tenant, fault=repr(fault))
                    for watch in watches:
                        watch.fail(fault)
                    shared.touched.set()
                    await asyncio.sleep(RETRY_S)
                    continue
                for watch in watches:
                    watch.offer(view)
                await asyncio.sleep(self._push_s)
