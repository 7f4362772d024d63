"""Kafka, looked at: reached, with its topics, their partitions and replicas, and the group's positions."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import start_client
from ledger.adapters.kafka.group import KafkaGroup
from ledger.config import Settings
from streams.doctor.finding import Finding, Level, counted, fine, judged
from streams.topics import topics_of

REQUEST_S = 5.0


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as Kafka has it; `replicas` and `in_sync` are of the partition that has the fewest."""

    partitions: int
    replicas: int
    in_sync: int
    leaderless: int


class KafkaLook:
    """A connection to Kafka that only looks."""

    def __init__(self, admin: Any, kafka: KafkaAccess | str, settings: Settings) -> None:
        self._admin = admin
        self._kafka = kafka
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, kafka: KafkaAccess | str, settings: Settings) -> AsyncIterator["KafkaLook"]:
        """Connect; raises KafkaError, OSError, or ValueError for an address that is none."""
        admin = AIOKafkaAdminClient(
            **client_options(kafka),
            client_id="ledger-doctor",
            request_timeout_ms=round(REQUEST_S * 1000),
        )
        try:
            await start_client(admin, kafka)
            yield cls(admin, kafka, settings)
        finally:
            await admin.close()

    async def brokers(self) -> int:
        return len((await self._admin.describe_cluster())["brokers"])

    async def topics(self) -> dict[str, TopicFacts]:
        """The facts of all topics, by name."""
        found = await self._admin.describe_topics()
        return {each["topic"]: _facts(each["partitions"]) for each in found if not each["error_code"]}

    async def committed(self) -> Mapping[int, int]:
        """What the posting workers' group has committed, by partition."""
        group = KafkaGroup(self._admin, self._kafka, self._settings.posting_group)
        return await group.committed(self._settings.payments_topic)

    async def windows(self) -> tuple[Mapping[int, int], int]:
        """What the windows workers' group has committed on the entries, by partition, and how many members it has."""
        group = KafkaGroup(self._admin, self._kafka, self._settings.windows_group)
        return await group.committed(self._settings.entries_topic), await group.members()

    async def payments(self) -> tuple[Mapping[int, int], int]:
        """What the payments workers' group has committed on the outcomes, by partition, and how many members it has."""
        group = KafkaGroup(self._admin, self._kafka, self._settings.payments_group)
        return await group.committed(self._settings.outcomes_topic), await group.members()

    async def chain(self) -> tuple[Mapping[int, int], int]:
        """What the chain workers' group has committed on the outcomes, by partition, and how many members it has."""
        group = KafkaGroup(self._admin, self._kafka, self._settings.chain_group)
        return await group.committed(self._settings.outcomes_topic), await group.members()


def _facts(partitions: Sequence[Mapping[str, Any]]) -> TopicFacts:
    return TopicFacts(
        len(partitions),
        min((len(each["replicas"]) for each in partitions), default=0),
        min((len(each["isr"]) for each in partitions), default=0),
        sum(each["leader"] < 0 for each in partitions),
    )


async def bounds(kafka: KafkaAccess | str, topic: str, partitions: int) -> dict[int, tuple[int, int]]:
    """The first and the next offset of each partition."""
    consumer = AIOKafkaConsumer(
        **client_options(kafka),
        enable_auto_commit=False,
        request_timeout_ms=round(REQUEST_S * 1000),
    )
    try:
        await start_client(consumer, kafka)
        places = [TopicPartition(topic, number) for number in range(partitions)]
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        return {place.partition: (begins[place], ends[place]) for place in places}
    finally:
        await consumer.stop()


def topic_findings(settings: Settings, found: Mapping[str, TopicFacts], brokers: int) -> Iterator[Finding]:
    """Judge the topics that a ledger needs."""
    wanted = topics_of(settings)
    missing = [topic.name for topic in wanted if topic.name not in found]
    if missing:
        yield judged("topics", f"missing: {', '.join(missing)}", wrong="`ledger migrate` makes them.")
    else:
        yield fine("topics", ", ".join(f"{each.name} ({found[each.name].partitions})" for each in wanted))
    present = {topic.name: found[topic.name] for topic in wanted if topic.name in found}
    if settings.payments_topic in present:
        yield _partitions(settings, present[settings.payments_topic].partitions)
    if present:
        yield _replication(present, brokers, development=settings.kafka_bootstrap is None)


def _partitions(settings: Settings, found: int) -> Finding:
    detail = f"{settings.payments_topic} has {found}; LEDGER_PARTITIONS is {settings.partitions}"
    idle = settings.workers - found
    too_few = f"Only {found} workers can work: set LEDGER_WORKERS to {found}, or add partitions to the topic."
    differs = f"Set LEDGER_PARTITIONS to {found}: workers size their connections by it."
    return judged(
        "partitions",
        detail,
        wrong=too_few if idle > 0 else "",
        warning=differs if found != settings.partitions else "",
    )


def _replication(topics: Mapping[str, TopicFacts], brokers: int, *, development: bool) -> Finding:
    fewest = min(facts.replicas for facts in topics.values())
    without_leader = _names(name for name, facts in topics.items() if facts.leaderless)
    behind = _names(name for name, facts in topics.items() if facts.in_sync < facts.replicas)
    if without_leader:
        return Finding(
            "replication", Level.WRONG, f"partitions without a leader: {without_leader}", "Start the brokers."
        )
    if behind:
        return judged("replication", f"replicas out of sync: {behind}", warning="Look at the brokers' logs.")
    detail = f"{counted(fewest, 'replica')} on {counted(brokers, 'broker')}"
    if fewest > 1:
        return fine("replication", detail)
    # The stack of `ledger up` has one broker, which is what it is for.
    level = Level.INFORMATION if development else Level.WARNING
    alone = "A broker that is lost takes records with it: 3 brokers and 3 replicas outside development."
    return Finding("replication", level, detail, alone)


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
