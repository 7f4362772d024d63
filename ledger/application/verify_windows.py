"""Verify the windows: what the stream stored in its changelog, against the same windows worked out in SQL."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from time import monotonic
from typing import Any, NamedTuple, Protocol

from ledger.application.verify_books import Progress, Stream
from ledger.application.window_changelog import BalanceName, Changelog, keep_last, read_changelog
from ledger.domain.aging import Retention
from ledger.domain.audit import VIOLATIONS_SHOWN_MAX, Check
from ledger.domain.life import Life
from ledger.domain.window import Window
from ledger.domain.window_audit import (
    BookedWindows,
    Minutes,
    Span,
    StoredWindows,
    WindowAudit,
    standing_of,
)

NAME = "windows"

STALLED_S = 30.0
LOOK_S = 0.1
BALANCES_AT_ONCE, ENTRIES_AT_ONCE = 500, 100_000
TRIES, AGAIN_S = 3, 1.0
"""What is found wrong beside live traffic is looked at again: a worker that lost a partition may have written last."""

Offsets = Mapping[int, int]
PartitionOf = Callable[[bytes, int], int]


class BookedBalance(NamedTuple):
    """A balance as the books have it."""

    tenant_id: int
    balance_id: int
    name: BalanceName
    version: int


class WindowsSnapshot(Protocol):
    """The books at one moment."""

    async def positions(self, topic: str) -> Offsets:
        """Give the offset before which all is handled, by partition."""
        ...

    async def balances(self) -> Sequence[BookedBalance]:
        """Give all balances that have entries."""
        ...

    async def minutes(self, balances: Sequence[BookedBalance]) -> Sequence[Minutes]:
        """Give the minutes of each of some balances."""
        ...

    async def part(self, balance: BookedBalance, span: Span) -> Window:
        """Work out the window of some versions of a balance."""
        ...


class Group(Protocol):
    """A consumer group, looked at from outside."""

    async def committed(self, topic: str) -> Offsets:
        """Give what it has committed of a topic, by partition."""
        ...


class Flow(NamedTuple):
    """Topics and groups on the way from events to windows."""

    payments: Stream
    entries: Stream
    windows: Stream
    posting: Group
    rolling: Group


class _Behind(NamedTuple):
    """A group that does not get to where it should be."""

    what: str
    lag: int


class VerifyWindows:
    """Reads the changelog to its end and compares; changes nothing, and may run beside live traffic.

    What was posted before the check began must be in it; what comes meanwhile need not, but must not be wrong.
    """

    def __init__(
        self,
        snapshot: Callable[[], AbstractAsyncContextManager[WindowsSnapshot]],
        flow: Flow,
        retention: Retention,
        partition_of: PartitionOf,
        progress: Progress | None = None,
        *,
        stalled_s: float = STALLED_S,
        again_s: float = AGAIN_S,
    ) -> None:
        self._snapshot = snapshot
        self._flow = flow
        self._retention = retention
        self._partition_of = partition_of
        self._progress = progress or (lambda name, done, total: None)
        self._stalled_s = stalled_s
        self._again_s = again_s

    async def __call__(self) -> Check:
        """Compare; a ledger whose windows were never kept has none that could be wrong."""
        if not await self._has_windows():
            return Check(NAME, 0, [])
        async with self._snapshot() as books:
            positions = await books.positions(self._flow.payments.topic)
            published = {each.name: each.version for each in await books.balances()}
        behind = await self._caught_up(positions)
        if behind is not None:
            return Check(NAME, 0, [{"what": behind.what, "lag": behind.lag}])
        checked, violations = 0, list[dict[str, Any]]()
        bounds = await self._flow.windows.bounds()
        if not bounds and published:
            return Check(NAME, 0, [{"what": "there is no changelog", "topic": self._flow.windows.topic}])
        for partition in sorted(bounds):
            compared, found = await self._verify(partition, len(bounds), published)
            checked += compared
            _add(violations, found)
            self._progress(NAME, partition + 1, len(bounds))
        return Check(NAME, checked, violations)

    async def _has_windows(self) -> bool:
        """Tell whether there ever was a windows worker; a group's offsets may have expired, its changelog stays."""
        if await self._flow.rolling.committed(self._flow.entries.topic):
            return True
        return any(end for _, end in (await self._flow.windows.bounds()).values())

    # Waiting

    async def _caught_up(self, positions: Offsets) -> _Behind | None:
        """Wait until all that was posted is published, and then until all of that is in the windows."""
        what = "what was posted is not published yet"
        lag = await self._reached(self._flow.posting, self._flow.payments.topic, positions)
        if not lag:
            what = "the windows are behind the entries"
            ends = {
                at: end for at, (first, end) in (await self._flow.entries.bounds()).items() if end > first
            }
            lag = await self._reached(self._flow.rolling, self._flow.entries.topic, ends)
        return _Behind(what, lag) if lag else None

    async def _reached(self, group: Group, topic: str, ends: Offsets) -> int:
        """Wait until a group gets to some offsets, as long as it gets on; gives how much it lags in the end."""
        least, moved_at = None, monotonic()
        while True:
            committed = await group.committed(topic)
            lag = sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items())
            if least is None or lag < least:
                least, moved_at = lag, monotonic()
            if not lag or monotonic() - moved_at > self._stalled_s:
                return lag
            await asyncio.sleep(LOOK_S)

    # Comparing

    async def _verify(
        self, partition: int, partitions: int, published: Mapping[BalanceName, int]
    ) -> tuple[int, list[dict[str, Any]]]:
        values: dict[bytes, bytes] = {}
        reached = 0
        for attempt in range(1, TRIES + 1):
            reached = await self._read(partition, reached, values)
            async with self._snapshot() as books:
                balances = [
                    each
                    for each in await books.balances()
                    if self._partition_of(_key_of(each.name), partitions) == partition
                ]
                checked, violations = await self._compare(books, balances, published, read_changelog(values))
            if not violations or attempt == TRIES:
                break
            await asyncio.sleep(self._again_s)
        return checked, [{"partition": partition, **each} for each in violations]

    async def _read(self, partition: int, since: int, values: dict[bytes, bytes]) -> int:
        """Take the last value of each key, from an offset to the end as it is now; gives that."""
        first, end = (await self._flow.windows.bounds())[partition]
        async for records in self._flow.windows.read(partition, max(first, since), end):
            keep_last(values, records)
        return max(end, since)

    async def _compare(
        self,
        books: WindowsSnapshot,
        balances: Sequence[BookedBalance],
        published: Mapping[BalanceName, int],
        changelog: Changelog,
    ) -> tuple[int, list[dict[str, Any]]]:
        stored = changelog.balances
        checked, standing = _count(stored), standing_of(_lives(stored), self._retention)
        violations: list[dict[str, Any]] = [
            {"what": "a key of the changelog cannot be read", "key": repr(key)}
            for key in changelog.unreadable
        ]
        async for balance, minutes in _each(books, balances):
            audit = WindowAudit(
                stored.pop(balance.name, StoredWindows()),
                BookedWindows(minutes, published.get(balance.name, 0)),
                standing,
            )
            parts = {span: await books.part(balance, span) for span in audit.parts()}
            facts = balance.name._asdict()
            _add(violations, ({**facts, **each} for each in audit.violations(parts)))
        _add(
            violations, ({**name._asdict(), "what": "the books have no such balance here"} for name in stored)
        )
        return checked, violations


def _add(violations: list[dict[str, Any]], found: Iterable[dict[str, Any]]) -> None:
    """Add what was found, as long as it can be shown."""
    violations += islice(found, max(0, VIOLATIONS_SHOWN_MAX - len(violations)))


def _lives(stored: Mapping[BalanceName, StoredWindows]) -> list[Life]:
    return [each.life for each in stored.values() if each.life is not None]


async def _each(
    books: WindowsSnapshot, balances: Sequence[BookedBalance]
) -> AsyncIterator[tuple[BookedBalance, Minutes]]:
    for some in _portions(balances):
        for balance, minutes in zip(some, await books.minutes(some), strict=True):
            yield balance, minutes


def _portions(balances: Sequence[BookedBalance]) -> Iterator[Sequence[BookedBalance]]:
    """Take as many balances at a time as have not too many entries together."""
    portion: list[BookedBalance] = []
    entries = 0
    for each in balances:
        portion.append(each)
        entries += each.version
        if entries >= ENTRIES_AT_ONCE or len(portion) >= BALANCES_AT_ONCE:
            yield portion
            portion, entries = [], 0
    if portion:
        yield portion


def _key_of(name: BalanceName) -> bytes:
    return f"{name.tenant}/{name.account}".encode()


def _count(stored: Mapping[BalanceName, StoredWindows]) -> int:
    return sum(len(sized) for each in stored.values() for sized in each.windows.values())
