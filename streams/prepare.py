"""What must stand before a worker starts: the topics, the tables, and partitions of time made ahead."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError

from ledger.bootstrap.posting import PARTITIONS_AHEAD_MONTHS
from ledger.config import Settings
from migrations.run import migrate
from streams.embedded.addresses import find_addresses
from streams.embedded.errors import EmbeddedError
from streams.topics import make_topics

HINT = "`ledger doctor` says what is wrong with the set-up."


class PreparationError(EmbeddedError):
    """The topics or the books cannot be brought to what this version needs."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What had to be done."""

    topics_made: list[str]
    version_before: str | None
    version: str
    partitions_made: int
    partitions_dropped: int


async def prepare(settings: Settings) -> Prepared:
    """Bring topics and books to what this version needs; does nothing the second time."""
    addresses = find_addresses(settings)
    try:
        topics = await make_topics(settings, addresses.kafka)
    except KafkaError as error:
        raise PreparationError(
            f"The topics could not be made in Kafka at {addresses.kafka}: {error}", HINT
        ) from error
    try:
        before, version = await migrate(addresses.postgres_dsn, settings.postgres_schema)
        made, dropped = await _maintain_partitions(settings, addresses.postgres_dsn)
    except (OSError, DBAPIError, asyncpg.PostgresError) as error:
        raise PreparationError(f"The books could not be made in PostgreSQL: {error}", HINT) from error
    return Prepared(topics, before, version, made, dropped)


async def _maintain_partitions(settings: Settings, dsn: str) -> tuple[int, int]:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": settings.postgres_schema})
    # A day more than the horizon: no id that may still be posted loses what is known of it.
    horizon = datetime.now(UTC) - timedelta(days=settings.dedupe_horizon_days + 1)
    try:
        made = await connection.fetchval(
            "select make_event_partitions($1, $2)", horizon, PARTITIONS_AHEAD_MONTHS
        )
        dropped = await connection.fetchval("select drop_event_partitions($1)", horizon)
        return made, dropped
    finally:
        await connection.close()
