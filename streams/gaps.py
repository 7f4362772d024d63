"""Compose the gaps' use case: the books' positions, the topic, and the workers' group."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.gaps import PostgresPositions
from ledger.adapters.system import SystemClock
from ledger.application.gaps import Gaps
from ledger.config import Settings
from streams.embedded.addresses import find_addresses


@asynccontextmanager
async def gaps(settings: Settings) -> AsyncIterator[Gaps]:
    """The use case over what is set, or what `ledger up` started."""
    addresses = find_addresses(settings)
    pool = await open_pool(addresses.postgres_dsn, settings, size=1, name="ledger-gap")
    try:
        async with (
            KafkaStream.open(addresses.kafka, settings.payments_topic) as stream,
            KafkaGroup.open(addresses.kafka, settings.posting_group) as group,
        ):
            yield Gaps(PostgresPositions(pool), stream, group, SystemClock())
    finally:
        await pool.close()
