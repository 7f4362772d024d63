"""Windows of a balance: from the stream what it provably has complete, from the database what it has not."""

from collections.abc import Sequence

import msgspec

from ledger.application.ports import Clock
from ledger.application.reading import WindowOf, WindowReader
from ledger.application.stream_reading import (
    BalanceOf,
    Cause,
    Source,
    StreamAwayError,
    StreamReader,
    StreamWindows,
)
from ledger.domain.life import Life, is_complete
from ledger.domain.moments import microseconds
from ledger.domain.window import Window, WindowSize
from ledger.observability.signals import Signals


class WindowRange(msgspec.Struct, frozen=True):
    """Which windows are asked for: those that begin in [first, before), in seconds since 1970, oldest first."""

    size: WindowSize
    first: int
    before: int
    limit: int


class SourcedWindow(msgspec.Struct, frozen=True):
    """A window, and where it was read. `closed`: no more entries are expected in it."""

    start: int
    window: Window
    closed: bool
    source: Source
    age_ms: int


class CompleteWindows(msgspec.Struct, frozen=True):
    """What a stream's answer proves: it has all entries of every window that begins at `since` or later."""

    since: int
    windows: Sequence[WindowOf]


def complete_windows(answer: StreamWindows, life: Life) -> CompleteWindows | None:
    """Find what is complete of an answer; None if that cannot be told.

    What the stream has begins with the first version that it saw: others may have come before it, in that window or
    in earlier ones. Versions that it did not see since then are the holes of the balance's life, and lie in or
    between the windows of the entries around them. Where no window is shown, only a life without either proves
    that there is none.
    """
    if not answer.windows and (life.first_version != 1 or life.holes):
        return None
    since = -(-answer.kept_from // answer.size.seconds) * answer.size.seconds
    if answer.windows and answer.windows[0].window.first_version == 1:
        since = 0
    for each in answer.windows:
        if not is_complete(each.window, life):
            since = max(since, each.start + answer.size.seconds)
    return CompleteWindows(since, [each for each in answer.windows if each.start >= since])


class ReadWindows:
    """Reads windows of one balance; whatever becomes of the stream, the answer is right.

    A window is closed `closed_after_s` seconds after its end: in that time a batch that read the clock before commits
    and is published, by another worker if its own dies.
    """

    def __init__(
        self,
        stream: StreamReader,
        books: WindowReader,
        clock: Clock,
        signals: Signals,
        *,
        closed_after_s: float,
    ) -> None:
        self._stream = stream
        self._books = books
        self._clock = clock
        self._signals = signals
        self._closed_after_us = round(closed_after_s * 1_000_000)

    async def __call__(
        self, tenant_id: int, of: BalanceOf, asked: WindowRange
    ) -> Sequence[SourcedWindow] | None:
        """Read windows of the tenant's balance, no window twice; None: there is no such account.

        Raises TransientFaultError if the database is asked and cannot answer.
        """
        try:
            answer = await self._stream.windows(of, asked.size, asked.first, asked.before, asked.limit)
        except StreamAwayError as away:
            return await self._from_books(tenant_id, of, asked, away.cause)
        if answer.life is None:
            return await self._from_books(tenant_id, of, asked, Cause.UNKNOWN)
        complete = complete_windows(answer, answer.life)
        # That there is nothing says nothing of how old it is, so it takes the books to say it.
        if complete is None or not complete.windows:
            return await self._from_books(tenant_id, of, asked, Cause.INCOMPLETE)
        return await self._together(tenant_id, of, asked, answer, complete)

    async def _together(
        self,
        tenant_id: int,
        of: BalanceOf,
        asked: WindowRange,
        answer: StreamWindows,
        complete: CompleteWindows,
    ) -> Sequence[SourcedWindow] | None:
        """Put before what the stream has complete what the database has of the time before that."""
        older: Sequence[WindowOf] = ()
        if asked.first < complete.since:
            earlier = msgspec.structs.replace(asked, before=min(asked.before, complete.since))
            found = await self._read_books(tenant_id, of, earlier)
            if found is None or len(found) >= asked.limit or asked.before <= complete.since:
                return self._sourced_from_books(asked.size, found)
            if not _join(found, complete.windows):
                return await self._from_books(tenant_id, of, asked, Cause.INCOMPLETE)
            older = found
        self._signals.emit("stream.answered", what="windows")
        newer = [self._from_stream(each, answer) for each in complete.windows]
        return [*(self._sourced_from_books(asked.size, older) or ()), *newer][: asked.limit]

    async def _from_books(
        self, tenant_id: int, of: BalanceOf, asked: WindowRange, cause: Cause
    ) -> Sequence[SourcedWindow] | None:
        self._signals.emit("stream.not_used", what="windows", cause=cause.value)
        return self._sourced_from_books(asked.size, await self._read_books(tenant_id, of, asked))

    async def _read_books(
        self, tenant_id: int, of: BalanceOf, asked: WindowRange
    ) -> Sequence[WindowOf] | None:
        return await self._books.windows(
            tenant_id, of.account, of.asset, asked.size, asked.first, asked.before, asked.limit
        )

    def _sourced_from_books(
        self, size: WindowSize, found: Sequence[WindowOf] | None
    ) -> Sequence[SourcedWindow] | None:
        known_us = microseconds(self._clock.now())
        if found is None:
            return None
        return [
            SourcedWindow(each.start, each.window, self._is_closed(each.start, size, known_us), "database", 0)
            for each in found
        ]

    def _from_stream(self, each: WindowOf, answer: StreamWindows) -> SourcedWindow:
        now_us = microseconds(self._clock.now())
        age_ms = max(0, (now_us - answer.fresh_at_us) // 1000)
        closed = self._is_closed(each.start, answer.size, min(answer.fresh_at_us, now_us))
        return SourcedWindow(each.start, each.window, closed, "stream", age_ms)

    def _is_closed(self, start: int, size: WindowSize, known_us: int) -> bool:
        return (start + size.seconds) * 1_000_000 + self._closed_after_us <= known_us


def _join(older: Sequence[WindowOf], newer: Sequence[WindowOf]) -> bool:
    """Tell whether the newer begin with the version after the one that ends the older."""
    return not older or not newer or older[-1].window.last_version + 1 == newer[0].window.first_version
