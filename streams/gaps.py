"""Compose what looks at three positions and mends them: the books', the topic's, and the workers' group's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.gaps import PostgresPositions
from ledger.adapters.system import SystemClock
from ledger.application.gaps import Gaps
from ledger.application.reset_positions import ResetPositions
from ledger.config import Settings
from streams.embedded.addresses import find_addresses


@asynccontextmanager
async def gaps(settings: Settings) -> AsyncIterator[Gaps]:
    """The use case over what is set, or what `ledger up` started."""
    async with _three(settings) as three:
        yield Gaps(*three, SystemClock())


@asynccontextmanager
async def resetting(settings: Settings) -> AsyncIterator[ResetPositions]:
    """The use case over what is set, or what `ledger up` started."""
    horizon = timedelta(days=settings.dedupe_horizon_days)
    async with _three(settings) as three:
        yield ResetPositions(*three, SystemClock(), horizon)


@asynccontextmanager
async def _three(settings: Settings) -> AsyncIterator[tuple[PostgresPositions, KafkaStream, KafkaGroup]]:
    addresses = find_addresses(settings)
    pool = await open_pool(addresses.postgres_dsn, settings, size=1, name="ledger-gap")
    try:
        async with (
            KafkaStream.open(addresses.kafka, settings.payments_topic) as stream,
            KafkaGroup.open(addresses.kafka, settings.posting_group) as group,
        ):
            yield PostgresPositions(pool), stream, group
    finally:
        await pool.close()
