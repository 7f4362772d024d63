"""Compare two books: each account that stands otherwise, and the first entry or hold in which it does."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
from itertools import zip_longest
from typing import Any, Protocol

import msgspec

from ledger.domain.account import BalanceKey
from ledger.domain.digest import BooksDigest, DigestBuilder, Standing

PAGE_LINES = 1000
DIFFERENCES_SHOWN_MAX = 100


class View(StrEnum):
    """From what the standings are taken."""

    BALANCES = "balances"
    ENTRIES = "entries"
    """And from open holds."""


class EntryLine(msgspec.Struct, frozen=True, gc=False):
    """One entry, with the totals after it as they are stored (minor units)."""

    version: int
    event_id: str
    line: int
    amount: int
    posted_debits: int
    posted_credits: int
    posted_at: datetime


class HoldLine(msgspec.Struct, frozen=True, gc=False):
    """One hold as it stands (minor units)."""

    event_id: str
    amount: int
    left: int
    captured: int
    released: int
    state: str


class Standings(Protocol):
    """One snapshot of books."""

    def read(self, view: View) -> AsyncIterator[Sequence[Standing]]:
        """Read every standing in the order of tenant, account and asset by their bytes."""
        ...

    async def entries(self, of: BalanceKey, after: int, limit: int) -> Sequence[EntryLine]:
        """Read entries of a standing in the order of their versions, from after a version."""
        ...

    async def holds(self, of: BalanceKey, after: str | None, limit: int) -> Sequence[HoldLine]:
        """Read holds on a standing in the order of their ids, from after an id."""
        ...

    async def positions(self, topic: str) -> dict[int, int]:
        """Give, by partition, the offset before which all is handled."""
        ...


class BooksToRead(Protocol):
    """Books of which snapshots can be taken."""

    def snapshot(self) -> AbstractAsyncContextManager[Standings]: ...


class Difference(msgspec.Struct, frozen=True):
    """A standing that differs; what is None is not there."""

    tenant: str
    account: str
    asset: str
    view: View
    left: Standing | None
    right: Standing | None
    what: Sequence[str]
    """The parts that differ: posted_debits, posted_credits, held, version, entries."""
    entry: int | None = None
    """The version of the first entry that differs."""
    left_entry: EntryLine | None = None
    right_entry: EntryLine | None = None
    left_hold: HoldLine | None = None
    right_hold: HoldLine | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give it without what is not there, and without hashes of entries, which are larger than JSON's numbers."""
        facts: dict[str, Any] = msgspec.to_builtins(self)
        for side in ("left", "right"):
            if facts[side] is not None:
                facts[side].pop("entries", None)
        return {name: fact for name, fact in facts.items() if fact is not None}


class Comparison(msgspec.Struct, frozen=True):
    """Two books compared: their digests, how many standings differ, and the first of those."""

    left: BooksDigest
    right: BooksDigest
    count: int
    differences: Sequence[Difference]

    @property
    def same(self) -> bool:
        """Tell whether nothing differs."""
        return not self.count

    def as_dict(self) -> dict[str, Any]:
        """Give the shape that `ledger compare --json` prints."""
        return {
            "same": self.same,
            "left": self.left.as_dict(),
            "right": self.right.as_dict(),
            "count": self.count,
            "differences": [each.as_dict() for each in self.differences],
        }


def parts_that_differ(left: Standing | None, right: Standing | None) -> list[str]:
    """Name what differs between two standings of one key."""
    names = ("posted_debits", "posted_credits", "held", "version", "entries")
    return [name for name in names if getattr(left, name, 0) != getattr(right, name, 0)]


def differing_entry(
    left: Sequence[EntryLine], right: Sequence[EntryLine]
) -> tuple[EntryLine | None, EntryLine | None] | None:
    """Find the first entries that differ, of two runs that begin after the same version; a time is no difference."""
    for ours, theirs in zip_longest(left, right):
        if ours is None or theirs is None or _content(ours) != _content(theirs):
            return ours, theirs
    return None


def _content(line: EntryLine) -> tuple[object, ...]:
    return line.version, line.event_id, line.line, line.amount, line.posted_debits, line.posted_credits


async def digest_standings(standings: Standings, view: View) -> BooksDigest:
    """Digest one snapshot: equal sums of other entries have another digest where entries are what is read."""
    builder = DigestBuilder()
    async for page in standings.read(view):
        for standing in page:
            builder.add(standing)
    return builder.build()


async def digest_both(standings: Standings) -> str:
    """Digest balances, and entries with open holds: in hexadecimal, one after the other."""
    return "/".join([(await digest_standings(standings, view)).overall.hex() for view in View])


class CompareBooks:
    """Compares two snapshots in bounded memory; changes nothing."""

    def __init__(
        self, left: Standings, right: Standings, *, progress: Callable[[View, int], None] | None = None
    ) -> None:
        self._left = left
        self._right = right
        self._progress = progress or (lambda view, count: None)

    async def __call__(self, view: View, shown_max: int = DIFFERENCES_SHOWN_MAX) -> Comparison:
        """Compare from one view of both; names the first `shown_max` differences."""
        builders = DigestBuilder(), DigestBuilder()
        count = 0
        found: list[tuple[Standing | None, Standing | None, list[str]]] = []
        async for ours, theirs in self._paired(view, builders):
            if what := parts_that_differ(ours, theirs):
                count += 1
                if len(found) < shown_max:
                    found.append((ours, theirs, what))
        # The streams above have ended: until then their connections are busy.
        named = [await self._named(view, *each) for each in found]
        return Comparison(builders[0].build(), builders[1].build(), count, named)

    async def _paired(
        self, view: View, builders: tuple[DigestBuilder, DigestBuilder]
    ) -> AsyncIterator[tuple[Standing | None, Standing | None]]:
        """Walk both side by side, key by key."""
        left, right = (
            _each(books.read(view), builder)
            for books, builder in zip((self._left, self._right), builders, strict=True)
        )
        ours, theirs, count = await anext(left, None), await anext(right, None), 0
        while ours is not None or theirs is not None:
            count += 1
            if count % PAGE_LINES == 0:
                self._progress(view, count)
            if theirs is None or (ours is not None and ours.key < theirs.key):
                yield ours, None
                ours = await anext(left, None)
            elif ours is None or theirs.key < ours.key:
                yield None, theirs
                theirs = await anext(right, None)
            else:
                yield ours, theirs
                ours, theirs = await anext(left, None), await anext(right, None)
        self._progress(view, count)

    async def _named(
        self, view: View, ours: Standing | None, theirs: Standing | None, what: Sequence[str]
    ) -> Difference:
        key = _key_of(ours, theirs)
        difference = Difference(*key, view, ours, theirs, what)
        if (pair := await self._first_entry(key)) is not None:
            entry = next(line.version for line in pair if line is not None)
            return msgspec.structs.replace(difference, entry=entry, left_entry=pair[0], right_entry=pair[1])
        if "held" in what and (holds := await self._first_hold(key)) is not None:
            return msgspec.structs.replace(difference, left_hold=holds[0], right_hold=holds[1])
        return difference

    async def _first_entry(self, key: BalanceKey) -> tuple[EntryLine | None, EntryLine | None] | None:
        after = 0
        while True:
            ours = await self._left.entries(key, after, PAGE_LINES)
            theirs = await self._right.entries(key, after, PAGE_LINES)
            if (pair := differing_entry(ours, theirs)) is not None or not ours:
                return pair
            after = ours[-1].version

    async def _first_hold(self, key: BalanceKey) -> tuple[HoldLine | None, HoldLine | None] | None:
        after: str | None = None
        while True:
            ours = await self._left.holds(key, after, PAGE_LINES)
            theirs = await self._right.holds(key, after, PAGE_LINES)
            for pair in _holds_paired(ours, theirs):
                if pair[0] != pair[1]:
                    return pair
            if not ours:
                return None
            after = ours[-1].event_id


def _holds_paired(
    ours: Sequence[HoldLine], theirs: Sequence[HoldLine]
) -> Iterator[tuple[HoldLine | None, HoldLine | None]]:
    """Pair two pages by id; beyond the end of the shorter the first that differs is found already."""
    for left, right in zip_longest(ours, theirs):
        if left is not None and right is not None and left.event_id != right.event_id:
            yield (left, None) if left.event_id < right.event_id else (None, right)
        yield left, right


async def _each(pages: AsyncIterator[Sequence[Standing]], builder: DigestBuilder) -> AsyncIterator[Standing]:
    async for page in pages:
        for standing in page:
            builder.add(standing)
            if not standing.is_blank:
                yield standing


def _key_of(ours: Standing | None, theirs: Standing | None) -> BalanceKey:
    found = ours or theirs
    if found is None:
        raise ValueError("neither books have it")
    return found.key
