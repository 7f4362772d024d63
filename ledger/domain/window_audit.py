"""Windows of the stream compared with those of the books, one balance at a time."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ledger.domain.aging import Retention, Standing
from ledger.domain.life import Life
from ledger.domain.moments import moment_of
from ledger.domain.window import Window, WindowSize, merge, merged, start_of

Violations = Iterator[dict[str, Any]]

Minutes = Sequence[tuple[int, Window]]
"""The windows of the minutes that hold entries, with their starts, in the order of versions."""


class Span(NamedTuple):
    """The first and the last of some versions."""

    first: int
    last: int


@dataclass(slots=True)
class StoredWindows:
    """What the stream has stored of a balance: all it ever saw, and the windows that stand, by size and start."""

    life: Life | None = None
    windows: dict[WindowSize, dict[int, Window]] = field(
        default_factory=lambda: {size: {} for size in WindowSize}
    )

    def standing(self, size: WindowSize, since: int) -> dict[int, Window]:
        """Put together what stands for the windows of a size that begin at `since` or later: it, and all smaller."""
        found: dict[int, Window] = {}
        for each in WindowSize:
            for start, window in self.windows[each].items():
                whole = start_of(size, start * 1_000_000)
                if whole >= since:
                    found[whole] = merge(found[whole], window) if whole in found else window
            if each is size:
                break
        return found


class BookedWindows:
    """What the books hold of a balance. Entries up to `published` were published before the stream was read."""

    def __init__(self, minutes: Minutes, published: int) -> None:
        self.published = published
        self._minutes = minutes
        self._firsts = [window.first_version for _, window in minutes]

    def spans(self, size: WindowSize) -> dict[int, Span]:
        """Give the versions of each window of a size."""
        found: dict[int, Span] = {}
        for start, window in self._minutes:
            whole = start_of(size, start * 1_000_000)
            first = found[whole].first if whole in found else window.first_version
            found[whole] = Span(first, window.last_version)
        return found

    def window(self, span: Span, parts: Mapping[Span, Window]) -> Window | None:
        """Work out the window of some versions; `parts` has those of minutes of which only a part is among them."""
        return merged(parts[cut] if cut else window for window, cut in self._within(span))

    def parts(self, span: Span) -> Iterator[Span]:
        """Give the versions among `span` of minutes of which only a part is."""
        return (cut for _, cut in self._within(span) if cut)

    def _within(self, span: Span) -> Iterator[tuple[Window, Span | None]]:
        for index in range(max(0, bisect_right(self._firsts, span.first) - 1), len(self._minutes)):
            window = self._minutes[index][1]
            if window.first_version > span.last:
                return
            cut = Span(max(span.first, window.first_version), min(span.last, window.last_version))
            if cut.first <= cut.last:
                yield window, None if cut == (window.first_version, window.last_version) else cut


class _Pair(NamedTuple):
    """A window as the stream has it, and the versions that the books have in it; None: none."""

    name: str
    window: Window
    span: Span | None


class WindowAudit:
    """Compares one balance. What the stream has seen later than `published` is right if it is right as far as it goes.

    Of each size, those windows are compared that the stream must still have, going by `standing`.
    """

    def __init__(self, stored: StoredWindows, booked: BookedWindows, standing: Standing) -> None:
        self._stored = stored
        self._booked = booked
        self._standing = standing
        self._pairs = [] if stored.life is None else list(self._find_pairs(stored.life))

    def parts(self) -> set[Span]:
        """Give the versions that have to be looked up one by one before `violations` can tell."""
        return {part for pair in self._pairs if pair.span for part in self._booked.parts(pair.span)}

    def violations(self, parts: Mapping[Span, Window]) -> Violations:
        """Find what differs, and what the stream lacks."""
        life = self._stored.life
        if life is None:
            if self._booked.published or any(self._stored.windows.values()):
                yield {"what": "the stream has not seen this balance", "version": self._booked.published}
            return
        yield from self._unseen(life)
        for size in WindowSize:
            yield from self._missing(size, life)
        for pair in self._pairs:
            yield from _differences(pair, self._booked.window(pair.span, parts) if pair.span else None)

    def _unseen(self, life: Life) -> Violations:
        published = self._booked.published
        if life.last_version < published:
            yield {
                "what": "the stream has not seen all entries",
                "version": published,
                "seen": life.last_version,
            }
        for first, last in life.holes:
            if first <= published:
                yield {"what": "the stream misses versions", "version": first, "last": last}

    def _missing(self, size: WindowSize, life: Life) -> Violations:
        """Find windows that the books have and the stream should have."""
        since = self._standing.since(size)
        standing = self._stored.standing(size, since)
        for start, span in self._booked.spans(size).items():
            due = min(span.last, self._booked.published)
            if start < since or due < max(span.first, life.first_version):
                continue
            seen = standing[start].last_version if start in standing else 0
            if seen < due:
                what = "the stream lacks entries of a window"
                yield {"what": what, "window": _name(size, start), "version": due, "seen": seen}

    def _find_pairs(self, life: Life) -> Iterator[_Pair]:
        yield _Pair("life", life, Span(life.first_version, life.last_version))
        for size in WindowSize:
            spans = self._booked.spans(size)
            for start, window in self._stored.standing(size, self._standing.since(size)).items():
                span = spans.get(start)
                if span is not None:
                    span = Span(max(span.first, life.first_version), min(span.last, window.last_version))
                yield _Pair(_name(size, start), window, span)


def _name(size: WindowSize, start: int) -> str:
    """Name a window by its size and when it begins, or, where a calendar has no such time, the seconds since 1970."""
    try:
        return f"{size.value} {moment_of(start * 1_000_000):%Y-%m-%dT%H:%M:%SZ}"
    except OverflowError:
        return f"{size.value} {start}"


def _differences(pair: _Pair, booked: Window | None) -> Violations:
    if booked is None:
        yield {"what": "the stream has a window that the books have not", "window": pair.name}
        return
    for name in Window.__struct_fields__:
        stream, books = getattr(pair.window, name), getattr(booked, name)
        if stream != books:
            what = f"{name} of a window differs"
            yield {"what": what, "window": pair.name, "stream": stream, "books": books}


def standing_of(lives: Iterable[Life], retention: Retention) -> Standing:
    """Say which windows a partition must have, by the newest entry that the stream has seen in it."""
    newest_us = max((life.last_posted_at_us for life in lives), default=None)
    return Standing() if newest_us is None else retention.standing(newest_us)
