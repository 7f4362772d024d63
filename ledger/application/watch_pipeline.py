"""Looks at the pipeline, once a second at most however many watch it."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ledger.application.faults import OverloadedError, TransientFaultError
from ledger.application.pipeline import (
    BooksStand,
    BooksWatch,
    Pipeline,
    Rates,
    StreamAskError,
    StreamStand,
    StreamWatch,
    rates_between,
)
from ledger.application.ports import Clock

REMEMBERED_S = 1.0
COMPARED_S = 4.0
"""Rates are those since a look that is at least this old, where there is one."""
TOO_OLD_S = 30.0
"""Of a look before that, no rates are worked out: they would tell of a time that is long gone."""


class Names(NamedTuple):
    """What the topics and the groups are called."""

    payments: str
    posting_group: str
    entries: str
    windows_group: str


class Watched(NamedTuple):
    """A look, and the rates since one before."""

    pipeline: Pipeline
    rates: Rates


class WatchPipeline:
    """Remembers what it saw for a second; those who ask meanwhile share one look. `monotonic` counts seconds."""

    def __init__(
        self,
        names: Names,
        stream: StreamWatch | None,
        books: BooksWatch,
        requests: Callable[[], float],
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        self._names = names
        self._stream = stream
        self._books = books
        self._requests = requests
        self._clock = clock
        self._monotonic = monotonic
        self._looking = asyncio.Lock()
        self._seen: Watched | None = None
        self._seen_at = 0.0
        self._compared: tuple[float, Pipeline] | None = None

    async def __call__(self) -> Watched:
        """Tell how it stands; whoever is away is told of in it, and raises nothing."""
        async with self._looking:
            now = self._monotonic()
            if self._seen is None or now - self._seen_at >= REMEMBERED_S:
                self._seen = self._compare(await self._look(), now)
                self._seen_at = self._monotonic()
            return self._seen

    def _compare(self, pipeline: Pipeline, now: float) -> Watched:
        before = None
        if self._compared is not None and now - self._compared[0] <= TOO_OLD_S:
            before = self._compared[1]
        if self._compared is None or now - self._compared[0] >= COMPARED_S:
            self._compared = (now, pipeline)
        return Watched(pipeline, rates_between(before, pipeline))

    async def _look(self) -> Pipeline:
        faults: dict[str, str] = {}
        names = self._names
        payments, entries, books = await asyncio.gather(
            self._look_at_stream(names.payments, names.posting_group, faults),
            self._look_at_stream(names.entries, names.windows_group, faults),
            self._look_at_books(faults),
        )
        return Pipeline(
            at=self._clock.now(),
            requests=self._requests(),
            payments=payments,
            entries=entries,
            books=books,
            faults=faults,
        )

    async def _look_at_stream(self, topic: str, group: str, faults: dict[str, str]) -> StreamStand | None:
        if self._stream is None:
            return None
        try:
            return await self._stream.look(topic, group)
        except StreamAskError as fault:
            faults["kafka"] = str(fault)
            return None

    async def _look_at_books(self, faults: dict[str, str]) -> BooksStand | None:
        try:
            return await self._books.look(self._names.payments)
        except (TransientFaultError, OverloadedError) as fault:
            faults["postgres"] = str(fault)
            return None
