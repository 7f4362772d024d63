"""Compose the reads that ask the stream first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from ledger.adapters.postgres.tenancy import Reads
from ledger.adapters.postgres.windows import PostgresWindows
from ledger.adapters.workers.absent import NoWorkers
from ledger.adapters.workers.client import Workers
from ledger.application.eventual_balance import ReadEventualBalance
from ledger.application.ports import Clock
from ledger.application.read_windows import ReadWindows
from ledger.application.reading import BalanceReader
from ledger.application.stream_reading import StreamReader
from ledger.config import Settings
from ledger.observability.signals import Signals


class StreamReads(NamedTuple):
    """The use cases that read the stream, with the books behind them."""

    eventual: ReadEventualBalance
    windows: ReadWindows


@asynccontextmanager
async def stream_reads(
    settings: Settings, balances: BalanceReader, heavy: Reads, clock: Clock, signals: Signals
) -> AsyncIterator[StreamReads]:
    """Compose reads over the windows workers that are set, if any; windows of the books are read from `heavy`."""
    async with _stream(settings, signals) as stream:
        yield StreamReads(
            ReadEventualBalance(stream, balances, clock, signals),
            ReadWindows(
                stream, PostgresWindows(heavy), clock, signals, closed_after_s=closed_after_s(settings)
            ),
        )


@asynccontextmanager
async def _stream(settings: Settings, signals: Signals) -> AsyncIterator[StreamReader]:
    if settings.windows_urls is None or settings.internal_token is None:
        yield NoWorkers()
        return
    seeds = [url.strip() for url in settings.windows_urls.split(",")]
    async with Workers.open(
        seeds, settings.internal_token, signals, timeout_s=settings.window_read_timeout_s
    ) as workers:
        yield workers


def closed_after_s(settings: Settings) -> float:
    """How long a batch may take to be committed and published, counting a worker that dies in between."""
    return settings.session_timeout_s + settings.rebalance_timeout_s + settings.postgres_statement_timeout_s
