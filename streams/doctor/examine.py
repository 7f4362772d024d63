"""The examination: this machine, then Kafka, then PostgreSQL, then positions against one another, and the rest."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncpg
from aiokafka.errors import KafkaError

from ledger.adapters.kafka.access import KafkaAccess
from ledger.adapters.kafka.stream import KafkaStream
from ledger.adapters.objects.store import open_objects
from ledger.application.archive_ports import DamagedArchiveError, ObjectsAwayError
from ledger.application.archived_topic import ArchivedTopic
from ledger.config import Settings
from ledger.domain.moments import milliseconds
from streams.doctor.books import BooksLook
from streams.doctor.finding import Finding, Level, counted, fine
from streams.doctor.kafka import KafkaLook, bounds, topic_findings
from streams.doctor.machine import machine_findings
from streams.doctor.payments import PaymentFacts, PaymentWorkers, payments_findings
from streams.doctor.positions import Log, position_findings
from streams.doctor.proofs import UNARCHIVED_MAX, ChainFacts, archive_findings, chain_findings
from streams.doctor.windows import windows_findings
from streams.embedded.addresses import find_kafka, find_postgres
from streams.embedded.errors import StackAwayError
from streams.settings import masked

LOOK_S = 15.0
NOWHERE = KafkaAccess("")
Address = TypeVar("Address", str, KafkaAccess)
_FAULTS = (
    *(OSError, ValueError, OverflowError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError),
    *(ObjectsAwayError, DamagedArchiveError),
)
_REFUSED = (asyncpg.InsufficientPrivilegeError, DamagedArchiveError)


async def examine(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """Look at everything that can be reached; what is away is a finding like any other."""
    findings = [*machine_findings(settings, environment)]
    examination = _Examination(settings)
    # The books are read after the group's position, which they are never behind, and before the log's end.
    await examination.kafka()
    await examination.books()
    await examination.positions()
    await examination.windows()
    await examination.payments()
    await examination.chain()
    await examination.archive()
    return findings + examination.findings


@dataclass(slots=True)
class _Examination:
    settings: Settings
    findings: list[Finding] = field(default_factory=list)
    reached: KafkaAccess = NOWHERE
    partitions: int = 0
    committed: Mapping[int, int] | None = None
    rolled: tuple[Mapping[int, int], int] | None = None
    advanced: tuple[Mapping[int, int], int] | None = None
    paid: PaymentFacts | None = None
    chained: tuple[Mapping[int, int], int] | None = None
    swept: tuple[datetime | None] | None = None
    topics: Mapping[str, int] = field(default_factory=dict)
    posted: dict[int, int] | None = None

    async def kafka(self) -> None:
        remedy = "Start Kafka, or set LEDGER_KAFKA_BOOTSTRAP to where it is."
        address = self._address("kafka", find_kafka)
        if address is not None:
            self.reached = address
            await self._within("kafka", address, remedy, self._look_at_kafka)

    async def _look_at_kafka(self, kafka: KafkaAccess) -> None:
        async with KafkaLook.open(kafka, self.settings) as look:
            brokers = await look.brokers()
            self.findings.append(fine("kafka", f"{kafka}, {counted(brokers, 'broker')}"))
            topics = await look.topics()
            self.findings += topic_findings(self.settings, topics, brokers)
            payments = topics.get(self.settings.payments_topic)
            self.partitions = payments.partitions if payments else 0
            self.committed = await look.committed()
            self.rolled = await look.windows()
            self.advanced = await look.payments()
            self.chained = await look.chain()
            self.topics = {name: facts.partitions for name, facts in topics.items()}

    async def books(self) -> None:
        remedy = "Start PostgreSQL, or set LEDGER_POSTGRES_DSN to where it is, and who may enter."
        address = self._address("postgres", find_postgres)
        if address is not None:
            await self._within("postgres", address, remedy, self._look_at_books)

    async def _look_at_books(self, dsn: str) -> None:
        async with BooksLook.open(dsn, self.settings) as look:
            async for finding in look.findings():
                self.findings.append(finding)
            self.posted = await look.positions()
            self.paid = await look.payments()
            self.swept = await look.chain()

    async def windows(self) -> None:
        topics = (self.settings.entries_topic, self.settings.windows_topic)
        if self.rolled is not None and all(topic in self.topics for topic in topics):
            await self._within("windows", self.reached, "Look at Kafka's logs.", self._look_at_windows)

    async def _look_at_windows(self, kafka: KafkaAccess) -> None:
        entries, changelog = self.settings.entries_topic, self.settings.windows_topic
        committed, members = self.rolled or ({}, 0)
        self.findings += windows_findings(
            committed,
            members,
            await bounds(kafka, entries, self.topics[entries]),
            await bounds(kafka, changelog, self.topics[changelog]),
        )

    async def payments(self) -> None:
        if (
            self.advanced is not None
            and self.paid is not None
            and self.settings.outcomes_topic in self.topics
        ):
            await self._within("payments", self.reached, "Look at Kafka's logs.", self._look_at_payments)

    async def _look_at_payments(self, kafka: KafkaAccess) -> None:
        outcomes = self.settings.outcomes_topic
        committed, members = self.advanced or ({}, 0)
        ends = await bounds(kafka, outcomes, self.topics[outcomes])
        self.findings += payments_findings(
            self.paid or PaymentFacts(), PaymentWorkers(committed, members, ends)
        )

    async def chain(self) -> None:
        if (
            self.chained is not None
            and self.swept is not None
            and self.settings.outcomes_topic in self.topics
        ):
            await self._within("chain", self.reached, "Look at Kafka's logs.", self._look_at_chain)

    async def _look_at_chain(self, kafka: KafkaAccess) -> None:
        settings, outcomes = self.settings, self.settings.outcomes_topic
        committed, members = self.chained or ({}, 0)
        ends = await bounds(kafka, outcomes, self.topics[outcomes])
        self.findings += chain_findings(
            ChainFacts(committed, members, ends, *(self.swept or (None,))),
            datetime.now(UTC),
            settle_s=settings.chain_settle_s,
            sweep_s=settings.chain_sweep_s,
        )

    async def archive(self) -> None:
        if self.settings.archive_url and self.settings.payments_topic in self.topics:
            remedy = "Look at the store that LEDGER_ARCHIVE_URL names; `ledger archive verify` says what is damaged."
            await self._within("archive", self.settings.archive_url, remedy, self._look_at_archive)

    async def _look_at_archive(self, url: str) -> None:
        topic = self.settings.payments_topic
        archived = await ArchivedTopic(open_objects(url), topic).bounds()
        async with KafkaStream.open(self.reached, topic) as log:
            due = await log.offsets_at(milliseconds(datetime.now(UTC) - UNARCHIVED_MAX))
            self.findings += archive_findings(archived, await log.bounds(), due)

    async def positions(self) -> None:
        if self.committed is None or self.posted is None or not self.partitions:
            return
        await self._within("log", self.reached, "Look at Kafka's logs.", self._compare)

    async def _compare(self, kafka: KafkaAccess) -> None:
        log = Log(await bounds(kafka, self.settings.payments_topic, self.partitions), self.committed or {})
        self.findings += position_findings(log, self.posted or {})

    def _address(self, name: str, find: Callable[[Settings], Address]) -> Address | None:
        try:
            return find(self.settings)
        except StackAwayError as error:
            self.findings.append(Finding(name, Level.AWAY, error.sentence, error.hint))
            return None

    async def _within(self, name: str, address: Address, remedy: str, look: Callable[[Address], Any]) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await look(address)
        except _FAULTS as error:
            said = str(error) or f"no answer within {LOOK_S:g} s"
            level = Level.WRONG if isinstance(error, _REFUSED) else Level.AWAY
            self.findings.append(Finding(name, level, f"{masked(str(address))}: {masked(said)}", remedy))
