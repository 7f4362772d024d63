"""Every topic: its name, key, partitions and retention; made by us before any worker starts."""

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import answered, start_client
from ledger.config import Settings

READY_S = 15.0
"""How long a broker that is not ready yet is asked again."""
REMOVED_S = 30.0
LOOK_S = 0.1
DAY_MS = 24 * 60 * 60 * 1000
RECORD_BYTES_OVERHEAD = 64 * 1024
DERIVED_BYTES_MAX_LEAST = 2 * 1024**2
"""Above any dead letter that is handed on whole, however low the bound for payments is set."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic; `configs` are the broker's settings that differ from its defaults."""

    name: str
    partitions: int
    replicas: int
    configs: dict[str, str] = field(default_factory=dict)


def topics_of(settings: Settings) -> Sequence[Topic]:
    """List the topics that a ledger needs."""
    size = payments_bytes_max(settings)
    # The broker's time, not the producer's: a wrong clock must not let retention delete what was just written.
    payments = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(size),
        "retention.ms": _days(settings.payments_retention_days),
    }
    # What comes of a payment is larger than it: an outcome has its entries, a dead letter the ledger's headers.
    derived = {
        "max.message.bytes": str(max(2 * size, DERIVED_BYTES_MAX_LEAST)),
        "retention.ms": _days(settings.derived_retention_days),
    }
    # The newest value of each window is kept for ever, until a tombstone ends it; small segments let it be compacted.
    changelog = {
        "cleanup.policy": "compact",
        "segment.ms": str(60 * 60 * 1000),
        "segment.bytes": str(64 * 1024**2),
        "min.cleanable.dirty.ratio": "0.3",
        "delete.retention.ms": str(DAY_MS),
    }
    return [
        Topic(settings.payments_topic, settings.partitions, settings.replication_factor, payments),
        *(
            Topic(name, settings.partitions, settings.replication_factor, derived)
            for name in (
                settings.outcomes_topic,
                settings.entries_topic,
                settings.dead_letters_topic,
                settings.webhooks_topic,
            )
        ),
        Topic(settings.windows_topic, settings.partitions, settings.replication_factor, changelog),
    ]


def payments_bytes_max(settings: Settings) -> int:
    """Clearly above what an event may be: too large a record is to arrive, and become a dead letter."""
    return 4 * settings.record_bytes_max + RECORD_BYTES_OVERHEAD


def _days(days: int) -> str:
    return str(days * DAY_MS) if days else "-1"


async def make_topics(settings: Settings, kafka: KafkaAccess | str) -> list[str]:
    """Make the topics that are missing; those that exist stay as they are. Returns the names made."""
    return await _make(settings, kafka, {topic.name for topic in topics_of(settings)})


async def make_windows_topic(settings: Settings, kafka: KafkaAccess | str) -> bool:
    """Make the changelog of windows if it is missing; says whether it was."""
    return bool(await _make(settings, kafka, {settings.entries_topic, settings.windows_topic}))


async def remove_topic(kafka: KafkaAccess | str, name: str) -> None:
    """Delete a topic, and wait until it is gone; raises KafkaError."""
    admin = AIOKafkaAdminClient(**client_options(kafka), client_id="ledger-migrate")
    try:
        await start_client(admin, kafka)
        if name in await admin.list_topics():
            await admin.delete_topics([name])
        async with asyncio.timeout(REMOVED_S):
            # The broker tells nobody when it is done.
            while name in await admin.list_topics():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise KafkaError(f"topic {name} is still there after {REMOVED_S:g} s") from None
    finally:
        await admin.close()


async def _make(settings: Settings, kafka: KafkaAccess | str, names: Set[str]) -> list[str]:
    admin = AIOKafkaAdminClient(**client_options(kafka), client_id="ledger-migrate")
    try:
        await start_client(admin, kafka)
        missing = await answered(lambda: _missing(settings, admin, names), READY_S)
        if missing:
            await answered(lambda: _create(admin, missing), READY_S)
        return [topic.name for topic in missing]
    finally:
        await admin.close()


async def _missing(settings: Settings, admin: AIOKafkaAdminClient, names: Set[str]) -> list[Topic]:
    existing = set(await admin.list_topics())
    missing = [topic for topic in topics_of(settings) if topic.name in names - existing]
    if settings.entries_topic not in existing:
        return missing
    # A window is in the partition of its entries, however many those were made with.
    partitions = await _partitions_of(admin, settings.entries_topic)
    return [
        replace(topic, partitions=partitions) if topic.name == settings.windows_topic else topic
        for topic in missing
    ]


async def _partitions_of(admin: AIOKafkaAdminClient, name: str) -> int:
    (found,) = await admin.describe_topics([name])
    if found["error_code"]:
        raise for_code(found["error_code"])(f"topic {name}")
    return len(found["partitions"])


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    answer = await admin.create_topics(
        [
            NewTopic(topic.name, topic.partitions, topic.replicas, topic_configs=topic.configs)
            for topic in topics
        ]
    )
    for error in answer.topic_errors:
        fault = for_code(error[1])
        if error[1] and fault is not TopicAlreadyExistsError:
            raise fault(f"topic {error[0]}: {error[2] if len(error) > 2 else ''}")
